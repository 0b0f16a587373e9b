"""Faults at system calls, through strace: a process dies at its n-th call, a disk refuses, a disk is slow."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from config.chaos.faults.fault import Fault
from config.chaos.stack import descendants, is_alive, wait_until


def why_not_traced() -> str:
    """Return what keeps this process from tracing others, empty if nothing does."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if os.geteuid() and scope.exists() and scope.read_text().strip() != "0":
        return "tracing other processes is not allowed here"
    return ""


def start_tracer(pids: list[int], injection: str, log: str = os.devnull) -> subprocess.Popen[bytes]:
    """Let strace inject into these processes; it writes the calls it looks at to ``log``."""
    call = injection.partition(":")[0]
    argv = ["strace", "-f", "-qq", "-o", log, "-e", f"trace={call}", "-e", f"inject={injection}"]
    return subprocess.Popen(
        [*argv, *(word for pid in pids for word in ("-p", str(pid)))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def end_tracer(tracer: subprocess.Popen[bytes]) -> None:
    """Let go of whatever is traced."""
    if tracer.poll() is None:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(10)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.wait()


class Traced(Fault):
    """Base of the faults that strace injects into a process and all it forked."""

    needs = "strace, and leave to trace (root, or the same user with ptrace_scope 0)"
    _tracers: list[subprocess.Popen[bytes]]

    def missing(self) -> str:
        return why_not_traced()

    def attach(self, pids: list[int], injection: str) -> None:
        """Let strace inject into these processes, and wait until it holds them all."""
        self._tracers = [start_tracer(pids, injection)]
        wait_until(lambda: all(not is_alive(pid) or tracer_of(pid) for pid in pids), "strace holds its victims")

    def heal(self) -> None:
        for tracer in self._tracers:
            end_tracer(tracer)


class KillAtCall(Traced):
    """kill -9 a pool process of ``target`` at its n-th ``call``; ``when`` is a range that the seed draws n from.

    libpq sends with ``sendto``, so the n-th one falls between two statements: before a claim is committed, between the
    broker's call and our commit, or after it.
    """

    kind = "kill_at_call"

    def begin(self) -> None:
        wait_until(lambda: self.stack.children(self.target), f"{self.target} has children")
        victim = self.chance.choice(self.stack.children(self.target))
        low, high = self.options.get("when", (1, 40))
        number = self.chance.randint(low, high)
        self.victims.append(victim)
        self.attach([victim], f"{self.options.get('call', 'sendto')}:signal=SIGKILL:when={number}")
        try:
            wait_until(lambda: not is_alive(victim), f"call {number} was made")
            self.mark()
        finally:
            self.heal()


class FailingCalls(Traced):
    """Calls of ``target`` fail, or take longer: ``inject`` is what strace is told, as ``fdatasync:error=EIO``."""

    kind = "failing_calls"

    def begin(self) -> None:
        main = self.stack.pid(self.target)
        self.attach([main, *descendants(main)], self.options["inject"])


def tracer_of(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("TracerPid:"))


FAULTS = (KillAtCall, FailingCalls)
