"""The Makefile is a thin face of bootstrap.py: the same commands, passed through."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PREFIXED = {"bench-NAME", "probe-NAME"}


def commands() -> list[str]:
    """What bootstrap.py says it can do."""
    told = subprocess.run([sys.executable, "bootstrap.py"], cwd=_ROOT, capture_output=True, text=True, check=True)
    return [name for name in re.findall(r"^  ([a-z]\S*)", told.stdout, re.M) if name not in _PREFIXED]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
def test_make_knows_every_command_of_bootstrap() -> None:
    wanted = commands()
    assert {"demo", "up", "test", "check"} <= set(wanted)
    shown = subprocess.run(
        ["make", "--dry-run", "PYTHON=python3", *wanted, "bench-orders", "probe-breakers"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    for command in [*wanted, "bench-orders", "probe-breakers"]:
        assert f"python3 bootstrap.py {command}" in shown.stdout
