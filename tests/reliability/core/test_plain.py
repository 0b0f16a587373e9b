"""The tests of the core run without Django and servers: so they are quick, and each change to the core can be tried."""

import ast
from pathlib import Path

import pytest

_NEEDS_MORE = ("django", "celery", "redis", "reliability.services", "reliability.models", "reliability.selectors")


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_no_test_of_the_core_needs_more_than_the_core(path: Path) -> None:
    imported = [
        name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    ]
    assert not [name for name in imported if name.startswith(_NEEDS_MORE)]
