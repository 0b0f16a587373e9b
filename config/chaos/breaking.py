"""Lets the faults of one episode begin and heal at their times, and writes the fault log."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from config.chaos.fault_log import FaultEntry, FaultLog
from config.chaos.faults.fault import CannotHealError, Fault
from config.chaos.faults.registry import make_fault
from config.chaos.scenario import PlannedFault
from config.chaos.stack import Stack

Say = Callable[[str], object]
OnBegun = Callable[[str], object]
"""Hears the kind of each fault once it is in force."""


class Breaker:
    """Runs the planned faults. Whatever happens, ``heal_all`` takes each one back."""

    def __init__(
        self,
        stack: Stack,
        planned: Sequence[PlannedFault],
        chance: random.Random,
        say: Say,
        on_begun: OnBegun = lambda kind: None,
    ) -> None:
        self.log = FaultLog()
        self._say = say
        self._on_begun = on_begun
        self._planned = [(one, make_fault(one.plan, stack, chance)) for one in planned]
        self._open: list[tuple[Fault, FaultEntry]] = []

    async def run(self) -> None:
        """Return when every fault has begun, and those that last are healed."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for planned, fault in self._planned:
                group.create_task(self._one(planned, fault, began))

    def all_back(self) -> bool:
        return all(fault.is_back() for _, fault in self._planned)

    def heal_all(self) -> None:
        """Heal what is still open; raises ``CannotHealError`` when one refuses."""
        while self._open:
            self._heal(*self._open.pop())

    async def _one(self, planned: PlannedFault, fault: Fault, began: float) -> None:
        await asyncio.sleep(max(0.0, began + planned.at - time.monotonic()))
        plan = planned.plan
        entry = self.log.begin(
            plan.kind, plan.target, plan.detect, dict(plan.options), lasting=planned.seconds is not None
        )

        def mark() -> None:
            entry.on, entry.on_at = time.monotonic(), datetime.now(UTC)

        fault.mark = mark
        self._say(f"fault {entry.number}: {plan.kind} {plan.target} {_shown(plan.options)}")
        self._open.append((fault, entry))
        try:
            await asyncio.to_thread(fault.begin)
        except Exception as error:
            entry.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            entry.victims = list(fault.victims)
        self._on_begun(plan.kind)
        if fault.is_span:
            entry.lasting = True
            self.log.end(entry)
        if planned.seconds is not None:
            await asyncio.sleep(max(0.0, entry.on + planned.seconds - time.monotonic()))
            self._open.remove((fault, entry))
            await asyncio.to_thread(self._heal, fault, entry)
            self._say(f"fault {entry.number}: healed after {time.monotonic() - entry.on:.1f} s")

    def _heal(self, fault: Fault, entry: FaultEntry) -> None:
        try:
            fault.heal()
        except Exception as error:
            entry.error = f"cannot heal: {type(error).__name__}: {error}"
            raise CannotHealError(f"{entry.kind} {entry.target}: {error}") from error
        self.log.end(entry)


def _shown(options: object) -> str:
    return " ".join(f"{name}={value}" for name, value in dict(options).items()) if options else ""  # type: ignore[call-overload]
