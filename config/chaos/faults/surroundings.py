"""Faults of the machine around our processes: clocks, processor time, file descriptors."""

import os
import resource
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from config.chaos.faults.fault import Fault
from config.chaos.stack import descendants, wait_until
from config.roles import get_role

_SHIM = Path(__file__).with_name("clock_shim.c")
_SLICE_SECONDS = 0.1


class WrongClock(Fault):
    """One more order worker whose wall clock is ``offset_seconds`` off, beside the stack's own."""

    kind = "wrong_clock"
    needs = "a C compiler (cc) for the clock shim"

    def missing(self) -> str:
        return "" if shutil.which("cc") else "no C compiler for the clock shim"

    def begin(self) -> None:
        library = self.stack.instance.directory / "clock_shim.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SHIM), "-ldl"], check=True)
        environment = {"LD_PRELOAD": str(library), "STANCHION_CLOCK_OFFSET": str(self.options["offset_seconds"])}
        name = f"worker-clock-{abs(int(self.options['offset_seconds']))}"
        arguments = [*get_role("worker-orders").arguments, "-n", f"{name}@{self.stack.instance.directory.name}"]
        self._context = self.stack.beside(name, arguments, environment)
        child = self._context.__enter__()
        wait_until(lambda: self.stack.count_living(descendants(child.pid)) > 0, "the worker with the wrong clock lives")

    def heal(self) -> None:
        self._context.__exit__(None, None, None)


class LittleProcessor(Fault):
    """A process, with all it forked, runs a ``share`` of the time: it is frozen and woken ten times a second."""

    kind = "little_processor"

    def begin(self) -> None:
        main = self.stack.pid(self.target)
        self.victims = [main, *descendants(main)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._take_turns, daemon=True)
        self._thread.start()

    def heal(self) -> None:
        self._over.set()
        self._thread.join(10)
        self._send(signal.SIGCONT)

    def _take_turns(self) -> None:
        share = float(self.options.get("share", 0.1))
        while not self._over.is_set():
            self._send(signal.SIGSTOP)
            self._over.wait(_SLICE_SECONDS * (1 - share))
            self._send(signal.SIGCONT)
            self._over.wait(_SLICE_SECONDS * share)

    def _send(self, number: signal.Signals) -> None:
        for pid in self.victims:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class FewDescriptors(Fault):
    """A process and all it forked may open no more than ``most`` files; the old limit comes back."""

    kind = "few_descriptors"

    def begin(self) -> None:
        main = self.stack.pid(self.target)
        self.victims = [main, *descendants(main)]
        most = int(self.options.get("most", 64))
        self._before: dict[int, tuple[int, int]] = {}
        for pid in self.victims:
            with suppress(ProcessLookupError):
                soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                self._before[pid] = soft, hard
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(most, hard), hard))

    def heal(self) -> None:
        for pid, limits in self._before.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


FAULTS = (WrongClock, LittleProcessor, FewDescriptors)
