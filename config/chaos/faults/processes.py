"""Faults of our own processes: killed, frozen, doubled, restarted one after the other."""

import os
import signal
from contextlib import suppress

from config.chaos.faults.fault import Fault
from config.chaos.stack import descendants, wait_until
from config.chaos.strikes import kill, kill_child, kill_holder

_HELD = """
SELECT count(*) FROM reliability_job job JOIN reliability_heartbeat h ON h.pulse = job.worker
WHERE job.state = 'running' AND h.pid = ANY(%s) AND h.ended_at IS NULL
"""


class Kill(Fault):
    """kill -9 one process of the stack; what it forked dies with it, and the supervisor starts another one."""

    kind = "kill"

    def begin(self) -> None:
        wait_until(lambda: self.stack.instance.control.process(self.target)["ready"], f"{self.target} runs")
        main = self.stack.pid(self.target)
        self.victims += [main, *descendants(main)]
        self.mark()
        self._is_back = kill(self.stack, self.target)()

    def is_back(self) -> bool:
        return self._is_back is None or self._is_back()


class KillChild(Fault):
    """kill -9 one pool process or gunicorn worker of the process named."""

    kind = "kill_child"

    def begin(self) -> None:
        self._is_back = kill_child(self.stack, self.target, self.chance)()
        self.victims += list(self.stack.killed)[-1:]
        self.mark()

    def is_back(self) -> bool:
        return self._is_back is None or self._is_back()


class KillHolder(Fault):
    """kill -9 the pool process that holds a job of the kind named in ``target`` at that moment."""

    kind = "kill_holder"

    def begin(self) -> None:
        self._is_back = kill_holder(self.stack, self.target)()
        self.victims += list(self.stack.killed)[-1:]
        self.mark()

    def is_back(self) -> bool:
        return self._is_back is None or self._is_back()


class Freeze(Fault):
    """SIGSTOP a process with all it forked, while it holds jobs where ``holding`` is given; SIGCONT heals."""

    kind = "freeze"

    def begin(self) -> None:
        main = self.stack.pid(self.target)
        self.victims = [main, *descendants(main)]
        if self.options.get("holding"):
            wait_until(lambda: self.stack.query(_HELD, [self.victims])[0][0] > 0, f"{self.target} holds jobs")
        self.mark()
        for pid in self.victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def heal(self) -> None:
        for pid in reversed(self.victims):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Stop(Fault):
    """Tell a process to end, by default with its own signal, and keep it ended until the fault heals."""

    kind = "stop"

    def begin(self) -> None:
        self.stack.instance.control.stop(self.target, self.options.get("signal"))

    def heal(self) -> None:
        self.stack.instance.control.start(self.target)


class Restart(Fault):
    """Restart processes one after the other, as a deployment does: SIGTERM, and SIGKILL when that takes too long."""

    kind = "restart"
    is_span = True

    def begin(self) -> None:
        for name in self.target.replace(" ", "").split(","):
            self.stack.instance.control.restart(name)


class Another(Fault):
    """Run one more of a process that acts alone: ``beat`` or ``sentinel``."""

    kind = "another"
    _ARGUMENTS = {
        "beat": ["-m", "celery", "-A", "config.celery", "beat", "--pidfile=", "-l", "INFO"],
        "sentinel": ["manage.py", "run_sentinel"],
        "streams": ["manage.py", "run_streams"],
    }

    def begin(self) -> None:
        self._context = self.stack.beside(f"{self.target}-beside", self._ARGUMENTS[self.target])
        child = self._context.__enter__()
        wait_until(lambda: self.stack.count_living([child.pid]) == 1, f"there are two of {self.target}")

    def heal(self) -> None:
        self._context.__exit__(None, None, None)


class PowerCut(Fault):
    """Everything of ours is killed in one instant, servers included, and what Redis had is lost; all start again."""

    kind = "power_cut"
    _SPARED = ("simbroker-", "proxy", "migrate", "prepare")
    """The brokers are other people's; the fault proxy is no part of the system; the rest has ended."""

    def begin(self) -> None:
        processes = self.stack.instance.state()["processes"]
        mains = {name: one["pid"] for name, one in processes.items() if not name.startswith(self._SPARED)}
        self._before = {name: pid for name, pid in mains.items() if pid}
        self.victims += [pid for main in self._before.values() for pid in (main, *descendants(main))]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that none sees another one die
            if number is signal.SIGKILL:
                self.mark()
            for pid in self.victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.stack.instance.control.wipe("valkey")

    def is_back(self) -> bool:
        now = self.stack.instance.state()["processes"]
        return all(now[name]["ready"] and now[name]["pid"] != pid for name, pid in self._before.items())


FAULTS = (Kill, KillChild, KillHolder, Freeze, Stop, Restart, Another, PowerCut)
