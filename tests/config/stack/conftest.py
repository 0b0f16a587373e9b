"""Fixtures: a supervisor over stand-ins, and PostgreSQL and Valkey under the real one."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from config.stack.control import Control
from config.stack.running import RunningInstance, running_instance
from config.stack.serve import Scope

ROOT = Path(__file__).resolve().parents[3]


def wait_for(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Return once the condition holds; fail the test when it does not in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """A zombie counts as dead: only its parent can remove it."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@dataclass
class StandIns:
    """A supervisor over stand-ins, in a process of its own."""

    process: subprocess.Popen[str]
    control: Control

    def family(self) -> list[int]:
        """Every process below the supervisor: children, their children, the guardian."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]


def start_stand_ins(directory: Path, *flags: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.config.stack.stand_in", str(directory), *flags]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def stand_ins(tmp_path: Path) -> Iterator[StandIns]:
    process = start_stand_ins(tmp_path)
    control = Control(tmp_path)
    try:
        wait_for(lambda: (tmp_path / "state.json").exists() and control.state()["status"] == "running")
        yield StandIns(process, control)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def services() -> Iterator[RunningInstance]:
    """PostgreSQL and Valkey as ``up`` runs them: durable, supervised."""
    own = {"DATABASE_URL": "", "REDIS_URL": ""}
    with running_instance(scope=Scope.SERVICES, environment=own) as instance:
        yield instance
