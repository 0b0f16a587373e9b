"""Faults begin and heal at their times, and whatever goes wrong none stays in force."""

import asyncio
import random
from typing import Any, ClassVar

import pytest

from config.chaos.breaking import Breaker
from config.chaos.faults import registry
from config.chaos.faults.fault import CannotHealError, Fault
from config.chaos.scenario import FaultPlan, PlannedFault

Events = list[tuple[str, str]]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """What the made-up faults did, in order; ``breaks`` fails to begin, ``sticks`` to heal."""
    seen: Events = []

    class Made(Fault):
        kind: ClassVar[str] = "made"

        def begin(self) -> None:
            seen.append(("begin", self.target))
            self.victims.append(7)
            if self.target == "breaks":
                raise OSError("cannot begin")

        def heal(self) -> None:
            seen.append(("heal", self.target))
            if self.target == "sticks":
                raise OSError("cannot heal")

    class Span(Made):
        kind: ClassVar[str] = "span"
        is_span: ClassVar[bool] = True

    monkeypatch.setitem(registry.KINDS, "made", Made)
    monkeypatch.setitem(registry.KINDS, "span", Span)
    return seen


def planned(target: str, at: float = 0.0, seconds: float | None = 0.01, kind: str = "made") -> PlannedFault:
    lasts = None if seconds is None else (seconds, seconds)
    return PlannedFault(FaultPlan(kind, (at, at), lasts, target, "", {}), at, seconds)


def breaker_of(*faults: PlannedFault) -> Breaker:
    stack: Any = None  # the made-up faults touch none
    return Breaker(stack, faults, random.Random(1), lambda text: None)


def test_what_waits_for_a_fault_hears_of_it_once_it_is_in_force(events: Events) -> None:
    heard: list[tuple[str, Events]] = []
    stack: Any = None
    told = Breaker(
        stack, [planned("first")], random.Random(1), lambda text: None, lambda kind: heard.append((kind, list(events)))
    )
    asyncio.run(told.run())
    assert heard == [("made", [("begin", "first")])]


def test_each_fault_begins_and_heals_and_is_in_the_log(events: Events) -> None:
    breaker = breaker_of(planned("first"), planned("blow", 0.05, None))
    asyncio.run(breaker.run())
    assert [what for what, target in events if target == "first"] == ["begin", "heal"]
    assert [what for what, target in events if target == "blow"] == ["begin"]
    first, blow = breaker.log.entries
    assert first.off is not None
    assert first.on < first.off == first.over
    assert (blow.off, blow.over, blow.victims) == (None, blow.on, [7])


def test_when_one_cannot_begin_all_others_are_healed(events: Events) -> None:
    breaker = breaker_of(planned("lasting", 0.0, 60.0), planned("breaks", 0.05))
    with pytest.raises(ExceptionGroup):
        asyncio.run(breaker.run())
    breaker.heal_all()
    assert ("heal", "lasting") in events
    assert "cannot begin" in breaker.log.entries[1].error


def test_a_fault_that_cannot_be_healed_is_said_so(events: Events) -> None:
    breaker = breaker_of(planned("sticks"))
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(breaker.run())
    assert caught.group_contains(CannotHealError)


def test_what_takes_its_time_by_design_is_over_when_it_is_done(events: Events) -> None:
    breaker = breaker_of(planned("deployment", seconds=None, kind="span"))
    asyncio.run(breaker.run())
    (entry,) = breaker.log.entries
    assert entry.over == entry.off
