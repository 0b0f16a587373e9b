"""Attempts of a caller's own, fallbacks, and the one record of each call."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from reliability.core.bulkhead import BulkheadLimit
from reliability.core.classification import Operation
from reliability.core.correlation import correlated
from reliability.core.fallback import AnswerSource, CachedAnswer, FailedCall, OtherFunction, QueueForLater
from reliability.services.circuits import CircuitOpenError
from reliability.services.guarding.outcomes import CallOutcome, on_trouble, remove_hook
from reliability.services.guarding.policy import GuardPolicy
from tests.reliability.services.guarding.support import (
    RETRIES,
    UNSENT,
    RaisedError,
    Script,
    Workshop,
    make_guard,
    run,
)


def test_a_caller_may_make_the_attempt_itself() -> None:
    workshop = make_guard(GuardPolicy("broker", bulkhead=BulkheadLimit(1), timeout=timedelta(seconds=60)))

    with workshop.guard.attempt():
        assert workshop.guard.room() == 0
    with pytest.raises(RaisedError), workshop.guard.attempt():
        raise RaisedError(UNSENT)

    assert workshop.circuit.reports == ["succeed", "fail"]
    assert workshop.guard.room() == 1


def test_a_coroutine_may_make_the_attempt_itself() -> None:
    workshop = make_guard(GuardPolicy("broker", timeout=timedelta(seconds=0.01), operation=Operation.QUERY))

    async def scenario() -> None:
        async with workshop.guard.attempt():
            pass
        with pytest.raises(TimeoutError):
            async with workshop.guard.attempt():
                await asyncio.sleep(60)

    asyncio.run(scenario())
    assert workshop.circuit.reports == ["succeed", "fail"]


def answer(workshop: Workshop, script: Script, way: str, *args: Any) -> Any:
    if way == "sync":
        return workshop.guard.answer(script, *args)
    return asyncio.run(workshop.guard.answer_async(script.asynchronous, *args))


def test_a_cached_answer_is_marked_stale_with_its_age(way: str, outcomes: list[CallOutcome]) -> None:
    workshop = make_guard(GuardPolicy("broker"), fallback=CachedAnswer(timedelta(minutes=5)))
    live = answer(workshop, Script(), way, "AAPL")
    workshop.clock.now += 42
    workshop.circuit.remaining_seconds = 30.0

    stale = answer(workshop, Script(), way, "AAPL")

    assert (live.value, live.stale, live.source) == (1, False, AnswerSource.LIVE)
    assert (stale.value, stale.stale, stale.source) == (1, True, AnswerSource.CACHE)
    assert stale.age == timedelta(seconds=42)
    assert [record.answered_from for record in outcomes] == [None, AnswerSource.CACHE]
    with pytest.raises(CircuitOpenError):
        answer(workshop, Script(), way, "MSFT")


def test_a_refused_call_can_be_queued_but_never_one_that_may_have_happened(way: str) -> None:
    queued: list[FailedCall] = []

    def enqueue(call: FailedCall) -> int:
        queued.append(call)
        return len(queued)

    workshop = make_guard(GuardPolicy("broker"), fallback=QueueForLater(enqueue))

    later = answer(workshop, Script(RaisedError(UNSENT)), way, "buy")
    with pytest.raises(RaisedError):
        answer(workshop, Script(RaisedError("TIMEOUT_READ", ambiguous=True)), way, "sell")

    assert (later.value, later.source) == (1, AnswerSource.QUEUED)
    assert [call.args for call in queued] == [("buy",)]


def test_the_dependency_s_own_no_is_not_covered_up(way: str) -> None:
    workshop = make_guard(GuardPolicy("broker"), fallback=OtherFunction(lambda: "elsewhere"))

    with pytest.raises(RaisedError, match="BROKER_INSUFFICIENT_FUNDS"):
        answer(workshop, Script(RaisedError("BROKER_INSUFFICIENT_FUNDS")), way)
    assert answer(workshop, Script(RaisedError("BROKER_UNAVAILABLE")), way).value == "elsewhere"


def test_one_record_per_call_with_the_correlation_id(way: str, outcomes: list[CallOutcome]) -> None:
    workshop = make_guard(GuardPolicy("broker", operation_class="orders", retry=RETRIES))

    with correlated("c-17"), suppress(RaisedError):
        run(workshop, Script(RaisedError(UNSENT), RaisedError("BROKER_MARKET_CLOSED")), way)

    record = outcomes[0]
    assert len(outcomes) == 1
    assert (record.dependency, record.circuit, record.operation) == ("broker", "broker:orders", "submit")
    assert (record.code, record.attempts, record.correlation_id) == ("BROKER_MARKET_CLOSED", 2, "c-17")
    assert record.error is not None


def test_a_hook_that_fails_breaks_no_call(outcomes: list[CallOutcome]) -> None:
    def broken(outcome: CallOutcome) -> None:
        raise RuntimeError("a hook")

    on_trouble(broken)
    try:
        with pytest.raises(RaisedError):
            make_guard(GuardPolicy("broker")).guard.call(Script(RaisedError(UNSENT)))
    finally:
        remove_hook(broken)
    assert len(outcomes) == 1


def test_threads_share_a_guard() -> None:
    workshop = make_guard(GuardPolicy("broker", bulkhead=BulkheadLimit(64), retry=RETRIES))
    totals: list[int] = []

    def work() -> None:
        totals.append(sum(workshop.guard.call(lambda: 1) for _ in range(500)))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert totals == [500] * 6
    assert workshop.bulkhead is not None
    assert workshop.bulkhead.occupied == 0
    assert len(workshop.circuit.reports) == 3000
