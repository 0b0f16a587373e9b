"""`make test` looks twice at the few tests that failed beside others, and never at harm."""

import sys
from pathlib import Path
from typing import Any

import pytest

import bootstrap

_ROOT = Path(__file__).resolve().parents[2]
_PYTEST = [sys.executable, "-m", "pytest", "-p", "tests.harm", "-p", "xdist", "-q"]
_SHAKY = """
from pathlib import Path

def test_shaky():
    seen = Path("seen")
    first = not seen.exists()
    seen.touch()
    assert not first, "{why}"

def test_sound():
    pass
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(_ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def test_what_passes_by_itself_is_named(project: Path, capfd: Any) -> None:
    (project / "test_it.py").write_text(_SHAKY.format(why="too slow"))
    assert bootstrap.looked_at_twice(_PYTEST, ["-n", "1"]) == 0
    assert "want mending: test_it.py::test_shaky" in capfd.readouterr().out


@pytest.mark.parametrize("why", ["doubled: order 7 (working): 2 orders at the broker", "stray order at a broker: x"])
def test_harm_is_believed_at_once(project: Path, why: str) -> None:
    (project / "test_it.py").write_text(_SHAKY.format(why=why))
    assert bootstrap.looked_at_twice(_PYTEST, ["-n", "1"]) == 1


def test_what_fails_twice_fails(project: Path) -> None:
    (project / "test_it.py").write_text("def test_it():\n    assert not 1\n")
    assert bootstrap.looked_at_twice(_PYTEST, []) == 1


def test_many_failures_are_no_accident(project: Path) -> None:
    lines = [f"def test_{number}():\n    assert not 1\n" for number in range(bootstrap.SECOND_LOOKS + 1)]
    (project / "test_it.py").write_text("\n".join(lines))
    assert bootstrap.looked_at_twice(_PYTEST, []) == 1
