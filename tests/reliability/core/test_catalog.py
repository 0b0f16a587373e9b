"""Every code that the source can raise is in the catalogue, and every entry is complete."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokers.adapters.alpaca.errors import CODES
from reliability.core.catalog import CATALOG, UnknownErrorCodeError, get_definition
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import ErrorCategory, ErrorDefinition, RecoveryStrategy

ROOT = Path(__file__).resolve().parents[3]
PREFIXES = {category.value.upper() for category in ErrorCategory}
CODE = re.compile(rf"({'|'.join(sorted(PREFIXES))})_[A-Z][A-Z_]+")


def codes_in_source() -> Iterator[tuple[str, str]]:
    """Yield every string constant of the product that looks like a code, with where it stands."""
    for package in ("reliability", "brokers", "reconciliation", "config"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "simulator" in path.parts or "migrations" in path.parts or path.name == "settings.py":
                continue  # settings of libraries are named like codes
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                    yield node.value, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    found = list(codes_in_source())

    assert len({code for code, _ in found}) > 30, "the scan finds nothing any more"
    assert [(code, place) for code, place in found if code not in CATALOG] == []


def test_every_code_of_the_alpaca_adapter_is_in_the_catalogue() -> None:
    assert sorted(CODES - CATALOG.keys()) == []


@pytest.mark.parametrize("definition", CATALOG.values(), ids=CATALOG)
def test_an_entry_says_everything_a_person_needs(definition: ErrorDefinition) -> None:
    assert definition.code.startswith(definition.category.value.upper() + "_")
    assert definition.message.endswith(".")
    assert definition.suggestion.endswith(".")
    assert 400 <= definition.http_status < 600
    if definition.ambiguous:
        assert definition.strategy is not RecoveryStrategy.IGNORE, "nobody may ignore an unknown outcome"


def test_no_code_is_defined_twice() -> None:
    source = "".join(path.read_text() for path in (ROOT / "reliability/core/catalog").glob("*.py"))
    for code in CATALOG:
        assert source.count(f'"{code}"') == 1, code


def test_every_category_has_entries() -> None:
    assert {entry.category for entry in CATALOG.values()} == set(ErrorCategory)


def test_an_error_with_an_unknown_code_is_noticed_where_it_is_read() -> None:
    with pytest.raises(UnknownErrorCodeError):
        get_definition("SYSTEM_NO_SUCH_CODE")
    with pytest.raises(UnknownErrorCodeError):
        _ = ReliabilityError("SYSTEM_NO_SUCH_CODE").definition
