"""A turn of a benchmark in a process of its own, and a table wider than the terminal."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.services import REPOSITORY, stop_tree
from config.stack.launch import Account, child_setup

_TURN_SECONDS = 900.0
_TABLE_WIDTH = 200


def run_turn_in_child(module: str, name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run ``python -m module arguments --out FILE`` and return what it wrote there, or ``name`` and ``error``."""
    with tempfile.TemporaryDirectory(prefix="stanchion-bench-") as folder:
        out, log = Path(folder) / "result.json", Path(folder) / "log"
        environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
        with log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, "--out", str(out)],
                stdout=output,
                stderr=output,
                cwd=REPOSITORY,
                env=environment,
                preexec_fn=child_setup(Account.SAME, signal.SIGTERM),
                start_new_session=True,
            )
        try:
            child.wait(_TURN_SECONDS)
        except subprocess.TimeoutExpired:
            return {"name": name, "error": f"no result in {_TURN_SECONDS:.0f} s: {log.read_text()[-1000:]}"}
        finally:
            stop_tree(child, patience_seconds=30.0)
        if not out.exists():
            return {"name": name, "error": log.read_text()[-2000:]}
        result: dict[str, Any] = json.loads(out.read_text())
        return result


def end_orderly_on_sigterm() -> None:
    """Make SIGTERM an exit that still stops the servers."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def print_wide(console: Console, table: Table) -> None:
    """Print a table in full: in a narrow terminal its lines wrap rather than lose figures."""
    wide = Console(width=max(console.width, _TABLE_WIDTH), soft_wrap=True)
    wide.print(table)
