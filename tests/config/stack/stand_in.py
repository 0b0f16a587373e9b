"""A supervisor over stand-in processes, run as a program: ``python -m tests.config.stack.stand_in DIRECTORY``."""

import os
import signal
import sys
from pathlib import Path

from config.stack.console import Progress
from config.stack.serve import supervise
from config.stack.spec import Kind, LogLine, ProcessSpec

# A parent with a child of its own, as a pool worker has; both would run for an hour.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
print("child", child.pid, flush=True)
print("up", flush=True)
time.sleep(3600)
"""
# Ignores every polite request.
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(3600)
"""
CRASHING = "import sys; print('cannot open the moon'); sys.exit(3)"


def python(name: str, code: str, after: tuple[str, ...] = (), **options: object) -> ProcessSpec:
    env = {"PATH": os.environ["PATH"]}
    ready = LogLine(r"up\n", 20.0) if "kind" not in options else None
    return ProcessSpec(name, (sys.executable, "-S", "-c", code), env, after, ready, **options)  # type: ignore[arg-type]


def specs(directory: Path, *, broken: bool) -> list[ProcessSpec]:
    order = directory / "order"
    tell = f"open({str(order)!r}, 'a').write"
    prepare = python("prepare", f"{tell}('prepare ')", kind=Kind.ONE_SHOT)
    late = python("late", f"{tell}('late ')\n{FAMILY}", after=("prepare", "family"))
    family = python("family", f"{tell}('family ')\n{FAMILY}", after=("prepare",))
    stubborn = python("stubborn", STUBBORN, stop_seconds=0.5, stop_signal=signal.SIGTERM)
    crashing = [python("crashing", CRASHING)] if broken else []
    return [late, family, prepare, stubborn, *crashing]


def main(directory: Path, *flags: str) -> None:
    supervise(directory, specs(directory, broken="broken" in flags), progress=Progress(), quiet=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
