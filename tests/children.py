"""Servers that a test starts for itself: in a process group of their own, dead with the test, killed at its end."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from config.stack.launch import Account, child_setup


def spawn(
    argv: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server in ``directory``, which keeps what it says in ``server.log``."""
    with (directory / "server.log").open("ab") as log:
        return subprocess.Popen(
            argv,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=child_setup(Account.SAME, signal.SIGKILL),
            start_new_session=True,
        )


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill -9 a server with everything it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
