"""When a guard tries again, and for how long."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.budget import BudgetPolicy
from reliability.core.bulkhead import BulkheadLimit
from reliability.core.catalog import CATALOG
from reliability.core.classification import Operation
from reliability.core.retry import RetryPolicy
from reliability.services.circuits import CircuitOpenError
from reliability.services.guarding.deadlines import deadline_in, remaining_seconds
from reliability.services.guarding.errors import CallRefusedError, CallTimeoutError
from reliability.services.guarding.outcomes import CallOutcome, CallResult
from reliability.services.guarding.policy import GuardPolicy
from tests.reliability.services.guarding.support import (
    PLENTY,
    RETRIES,
    UNSENT,
    RaisedError,
    Script,
    make_guard,
    run,
)


def test_a_passing_failure_is_tried_again_with_backoff(way: str, outcomes: list[CallOutcome]) -> None:
    workshop = make_guard(GuardPolicy("broker", retry=RETRIES))

    assert run(workshop, Script(RaisedError(UNSENT), RaisedError(UNSENT)), way) == 3

    assert workshop.clock.sleeps == [0.05, 0.1]
    assert workshop.circuit.reports == ["fail", "fail", "succeed"]
    assert [(record.result, record.attempts) for record in outcomes] == [(CallResult.SUCCEEDED, 3)]


def test_attempts_end_with_the_last_error(way: str, outcomes: list[CallOutcome]) -> None:
    workshop, script = make_guard(GuardPolicy("broker", retry=RETRIES)), Script(*[RaisedError(UNSENT)] * 9)

    with pytest.raises(RaisedError, match=UNSENT):
        run(workshop, script, way)

    assert script.calls == 4
    assert [(record.result, record.code, record.attempts) for record in outcomes] == [(CallResult.FAILED, UNSENT, 4)]


def test_an_unknown_outcome_is_never_repeated(way: str) -> None:
    workshop, script = (
        make_guard(GuardPolicy("broker", retry=RETRIES)),
        Script(RaisedError("TIMEOUT_READ", ambiguous=True)),
    )

    with pytest.raises(RaisedError):
        run(workshop, script, way)

    assert script.calls == 1


def test_an_idempotent_call_is_repeated_after_an_unknown_outcome(way: str) -> None:
    workshop = make_guard(GuardPolicy("broker", retry=RETRIES, idempotent=True))

    assert run(workshop, Script(RaisedError("TIMEOUT_READ", ambiguous=True)), way) == 2


def test_a_declared_failure_is_one_that_passes(way: str) -> None:
    policy = GuardPolicy("payments", retry=RETRIES, failures=(LookupError,), idempotent=True)
    workshop = make_guard(policy)

    assert run(workshop, Script(LookupError("down")), way) == 2
    assert workshop.circuit.reports == ["fail", "succeed"]


@given(st.lists(st.sampled_from(list(CATALOG)), min_size=1, max_size=6))
def test_a_call_with_an_effect_is_never_made_again_once_its_outcome_is_unknown(codes: list[str]) -> None:
    errors = [RaisedError(code, ambiguous=CATALOG[code].ambiguous) for code in codes]
    script = Script(*errors)
    workshop = make_guard(GuardPolicy("broker", retry=RETRIES), budget=PLENTY)

    with suppress(RaisedError):
        workshop.guard.call(script)

    seen = codes[: script.calls]
    assert not any(CATALOG[code].ambiguous for code in seen[:-1]), "it stopped at the first unknown outcome"
    assert all(CATALOG[code].retryable for code in seen[: max(0, min(script.calls, len(codes)) - 1)])
    assert len(workshop.circuit.reports) == script.calls == workshop.circuit.admitted


def test_retries_end_when_the_budget_is_spent(way: str, outcomes: list[CallOutcome]) -> None:
    policy = GuardPolicy("broker", retry=RETRIES)
    workshop = make_guard(policy, budget=BudgetPolicy(deposit=0.0, floor_per_second=0.1))
    script = Script(*[RaisedError(UNSENT)] * 9)

    with pytest.raises(RaisedError):
        run(workshop, script, way)

    assert script.calls == 2
    assert outcomes[0].stopped_by == "SYSTEM_RETRY_BUDGET_SPENT"


def test_a_circuit_that_opens_between_attempts_ends_them(way: str) -> None:
    workshop = make_guard(GuardPolicy("broker", retry=RETRIES))

    class Opening(Script):
        def __call__(self, *args: Any, **kwargs: Any) -> int:
            workshop.circuit.remaining_seconds = 30.0
            return super().__call__()

    script = Opening(*[RaisedError(UNSENT)] * 9)
    with pytest.raises(CircuitOpenError):
        run(workshop, script, way)

    assert script.calls == 1


def test_a_refused_repeat_never_hides_that_an_attempt_before_may_have_had_effect(
    way: str, outcomes: list[CallOutcome]
) -> None:
    """A refusal says that nothing was sent, and whoever believes it sends the order once more."""
    workshop = make_guard(GuardPolicy("broker", retry=RETRIES, idempotent=True))
    unknown = RaisedError("TIMEOUT_READ", ambiguous=True)

    class Opening(Script):
        def __call__(self, *args: Any, **kwargs: Any) -> int:
            workshop.circuit.remaining_seconds = 30.0 if len(self.errors) == 1 else 0.0
            return super().__call__()

    with pytest.raises(RaisedError) as raised:
        run(workshop, Opening(unknown, RaisedError(UNSENT)), way)

    assert raised.value is unknown
    assert (outcomes[0].result, outcomes[0].code) == (CallResult.FAILED, "TIMEOUT_READ")
    assert (outcomes[0].attempts, outcomes[0].stopped_by) == (2, "SYSTEM_CIRCUIT_OPEN")
    assert outcomes[0].error is not None
    assert outcomes[0].error.ambiguous


def test_no_attempt_begins_after_the_deadline(outcomes: list[CallOutcome]) -> None:
    workshop, script = make_guard(GuardPolicy("broker", retry=RETRIES)), Script()
    workshop.clock.now = 1e12  # monotonic seconds long after any deadline that is set now

    with deadline_in(5.0), pytest.raises(CallRefusedError) as raised:
        workshop.guard.call(script)

    assert raised.value.code == "TIMEOUT_DEADLINE_PASSED"
    assert script.calls == 0
    assert workshop.circuit.admitted == 0


def test_no_retry_waits_beyond_the_deadline(outcomes: list[CallOutcome]) -> None:
    import time

    workshop, script = make_guard(GuardPolicy("broker", retry=RETRIES)), Script(RaisedError(UNSENT, retry_after=20.0))
    workshop.clock.now = time.monotonic()

    with deadline_in(10.0), pytest.raises(RaisedError):
        workshop.guard.call(script)

    assert workshop.clock.sleeps == []
    assert outcomes[0].stopped_by == "TIMEOUT_DEADLINE_PASSED"


def test_what_is_called_sees_the_time_it_has() -> None:
    import time

    workshop = make_guard(GuardPolicy("broker", timeout=timedelta(seconds=200)))
    workshop.clock.now = time.monotonic()

    assert 100 < workshop.guard.call(remaining_seconds) <= 200
    with deadline_in(100.0):
        assert 0 < workshop.guard.call(remaining_seconds) <= 100
    assert remaining_seconds() == float("inf")


def test_a_coroutine_is_cancelled_at_its_timeout_and_counts_as_a_failure() -> None:
    workshop = make_guard(GuardPolicy("broker", timeout=timedelta(seconds=0.01), operation=Operation.QUERY))

    async def hang() -> None:
        await asyncio.sleep(60)

    with pytest.raises(CallTimeoutError, match="broker did not answer within"):
        asyncio.run(workshop.guard.call_async(hang))

    assert workshop.circuit.reports == ["fail"]


@pytest.mark.parametrize(("operation", "calls"), [(Operation.SUBMIT, 1), (Operation.QUERY, 3)])
def test_a_coroutine_that_ran_out_of_time_is_repeated_only_if_it_has_no_effect(
    operation: Operation, calls: int
) -> None:
    policy = GuardPolicy(
        "broker", timeout=timedelta(seconds=0.01), operation=operation, retry=RetryPolicy(max_attempts=3)
    )
    workshop, made = make_guard(policy), []

    async def hang() -> None:
        made.append(1)
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(workshop.guard.call_async(hang))

    assert len(made) == calls


def test_a_cancelled_caller_gives_everything_back() -> None:
    workshop = make_guard(GuardPolicy("broker", timeout=timedelta(seconds=60), bulkhead=BulkheadLimit(1)))

    async def scenario() -> None:
        began = asyncio.Event()

        async def hang() -> None:
            began.set()
            await asyncio.sleep(60)

        call = asyncio.create_task(workshop.guard.call_async(hang))
        await began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(scenario())
    assert workshop.circuit.reports == ["release"]
    assert workshop.bulkhead is not None
    assert workshop.bulkhead.occupied == 0
