"""Place and rate of guarded calls, and the pace at which waiting work comes back."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from reliability.core.bulkhead import BulkheadLimit
from reliability.core.rate_limit import Priority, RateLimit
from reliability.services.guarding.errors import CallRefusedError
from reliability.services.guarding.outcomes import CallOutcome
from reliability.services.guarding.policy import GuardPolicy
from tests.reliability.services.guarding.support import (
    RETRIES,
    UNSENT,
    RaisedError,
    Script,
    make_guard,
    run,
)


def test_a_full_bulkhead_refuses_and_is_no_failure_of_the_dependency(way: str, outcomes: list[CallOutcome]) -> None:
    workshop, script = make_guard(GuardPolicy("broker", bulkhead=BulkheadLimit(1))), Script()
    assert workshop.bulkhead is not None
    assert workshop.bulkhead.try_enter(Priority.NORMAL)

    with pytest.raises(CallRefusedError) as raised:
        run(workshop, script, way)

    assert raised.value.code == outcomes[0].code == "SYSTEM_BULKHEAD_FULL"
    assert workshop.circuit.reports == ["release"]
    assert workshop.guard.wait_seconds() > 0
    assert workshop.guard.room() == 0
    assert script.calls == 0


def test_places_come_back_whatever_happens(way: str) -> None:
    workshop = make_guard(GuardPolicy("broker", bulkhead=BulkheadLimit(1), retry=RETRIES))

    assert run(workshop, Script(RaisedError(UNSENT)), way) == 2
    with pytest.raises(RaisedError):
        run(workshop, Script(RaisedError("BROKER_MARKET_CLOSED")), way)
    assert run(workshop, Script(), way) == 1


def test_a_full_limiter_refuses_with_the_wait(way: str) -> None:
    limit = RateLimit(calls=1, per_seconds=10)
    workshop = make_guard(GuardPolicy("broker", rate_limit=limit))
    run(workshop, Script(), way)

    with pytest.raises(CallRefusedError) as raised:
        run(workshop, Script(), way)

    assert raised.value.code == "RATE_LIMIT_LOCAL"
    assert raised.value.wait_seconds == pytest.approx(10, abs=1)
    assert workshop.circuit.reports == ["succeed", "release"]


def test_a_call_waits_for_the_rate_as_long_as_it_may(way: str) -> None:
    limit = RateLimit(calls=1, per_seconds=10)
    workshop = make_guard(GuardPolicy("broker", rate_limit=limit, wait_limit=timedelta(seconds=15)))
    run(workshop, Script(), way)

    assert run(workshop, Script(), way) == 1
    assert sum(workshop.clock.sleeps) == pytest.approx(10, abs=1)


def test_a_call_waits_for_a_place_as_long_as_it_may() -> None:
    workshop = make_guard(GuardPolicy("broker", bulkhead=BulkheadLimit(1), wait_limit=timedelta(seconds=20)))
    began, leave = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        leave.wait(20)

    thread = threading.Thread(target=workshop.guard.call, args=(slow,))
    thread.start()
    began.wait(20)
    threading.Timer(0.02, leave.set).start()

    assert workshop.guard.call(lambda: "in") == "in"
    thread.join()


def test_being_throttled_pauses_every_caller_of_the_account(way: str) -> None:
    policy = GuardPolicy("broker", account="desk", rate_limit=RateLimit(calls=200, per_seconds=60))
    workshop = make_guard(policy)

    with pytest.raises(RaisedError):
        run(workshop, Script(RaisedError("RATE_LIMIT_EXCEEDED", retry_after=7.0)), way)

    assert workshop.guard.wait_seconds() == 7.0
    with pytest.raises(CallRefusedError):
        run(workshop, Script(), way)


def test_a_wait_named_in_hours_is_not_waited_for_and_pauses_a_quarter_of_an_hour_at_most(way: str) -> None:
    policy = GuardPolicy("broker", rate_limit=RateLimit(calls=200, per_seconds=60), retry=RETRIES, idempotent=True)
    workshop, script = make_guard(policy), Script(RaisedError("RATE_LIMIT_EXCEEDED", retry_after=36_000.0))

    with pytest.raises(RaisedError):
        run(workshop, script, way)

    assert workshop.clock.sleeps == []
    assert workshop.guard.wait_seconds() == 900.0


def test_places_over_all_processes_are_taken_and_given_back(way: str) -> None:
    policy = GuardPolicy("broker", shared_bulkhead=BulkheadLimit(1), timeout=timedelta(seconds=5))
    workshop = make_guard(policy)

    for _ in range(3):
        assert run(workshop, Script(), way) == 1
    with pytest.raises(RaisedError):
        run(workshop, Script(RaisedError(UNSENT)), way)
    assert run(workshop, Script(), way) == 1


@pytest.mark.parametrize("held", [False, True])
def test_a_caller_that_is_cancelled_while_it_gives_its_place_back_has_told_the_circuit(held: bool) -> None:
    policy = GuardPolicy("broker", shared_bulkhead=BulkheadLimit(1), timeout=timedelta(seconds=60))
    workshop = make_guard(policy)
    places = workshop.guard.parts.places
    assert places is not None

    async def leave(place: str) -> None:
        places.leave(place)
        raise asyncio.CancelledError

    places.leave_async = leave  # type: ignore[method-assign]

    async def hold() -> None:
        async with workshop.guard.attempt():
            pass

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(hold() if held else workshop.guard.call_async(Script().asynchronous))

    assert workshop.circuit.reports == ["succeed"]


def test_a_caller_that_is_cancelled_while_it_asks_for_a_place_leaves_none_lent() -> None:
    policy = GuardPolicy("broker", shared_bulkhead=BulkheadLimit(1), timeout=timedelta(seconds=60))
    places = make_guard(policy).guard.parts.places
    assert places is not None
    take = places.try_enter
    asked, answer, taken = threading.Event(), threading.Event(), threading.Event()

    def slowly(priority: Priority, group: str = "") -> str | None:
        asked.set()
        answer.wait(10)
        place = take(priority, group)
        taken.set()
        return place

    async def give_up() -> None:
        places.try_enter = slowly  # type: ignore[method-assign]
        entering = asyncio.create_task(places.try_enter_async(Priority.NORMAL))
        await asyncio.to_thread(asked.wait, 10)
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        assert entering.cancelled()
        places.try_enter = take  # type: ignore[method-assign]
        answer.set()
        await asyncio.to_thread(taken.wait, 10)
        for _ in range(250):
            place = await places.try_enter_async(Priority.NORMAL)
            if place is not None:
                return await places.leave_async(place)
            await asyncio.sleep(0.02)
        raise AssertionError("the place stayed lent to nobody")

    asyncio.run(give_up())


def test_waiting_work_comes_back_one_after_the_other() -> None:
    workshop = make_guard(GuardPolicy("broker", recovery_per_second=10.0))

    waits = [workshop.guard.pace(30.0).total_seconds() for _ in range(100)]

    assert waits == sorted(waits)
    assert waits[0] >= 30
    assert waits[-1] == pytest.approx(40, abs=0.2)


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "x", "timeout": timedelta(0)},
        {"name": "x", "shared_bulkhead": BulkheadLimit(1)},
        {"name": "x", "wait_limit": timedelta(seconds=-1)},
        {"name": "x", "recovery_per_second": 0.0},
    ],
)
def test_a_policy_without_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        GuardPolicy(**values)
