"""The guard: what it lets begin, what it tells the circuit, when it tries again, and what it writes down."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.budget import BudgetPolicy
from reliability.core.bulkhead import BulkheadLimit
from reliability.core.catalog import CATALOG
from reliability.core.classification import ClassifiedError, Operation, RawFailure
from reliability.core.correlation import correlated
from reliability.core.fallback import AnswerSource, CachedAnswer, FailedCall, OtherFunction, QueueForLater
from reliability.core.rate_limit import Priority, RateLimit
from reliability.core.retry import RetryPolicy
from reliability.services.circuits import CircuitOpenError
from reliability.services.guarding.deadlines import deadline_in, remaining_seconds
from reliability.services.guarding.errors import CallRefusedError, CallTimeoutError
from reliability.services.guarding.outcomes import CallOutcome, CallResult, on_outcome, on_trouble, remove_hook
from reliability.services.guarding.policy import CircuitEffect, GuardPolicy, circuit_effect
from tests.reliability.services.guard_support import Workshop, make_guard

RETRIES = RetryPolicy(max_attempts=4, time_limit=timedelta(seconds=60))
PLENTY = BudgetPolicy(floor_per_second=100.0)


class RaisedError(Exception):
    """An adapter's error that knows what it is."""

    def __init__(self, code: str, *, ambiguous: bool = False, retry_after: float | None = None) -> None:
        super().__init__(code, ambiguous, retry_after)
        self.code = code
        self.ambiguous = ambiguous
        self.retry_after = retry_after

    def classified(self, source: str, operation: Operation) -> ClassifiedError:
        definition = CATALOG[self.code]
        return ClassifiedError(
            definition=definition,
            severity=definition.severity,
            strategy=definition.strategy,
            retryable=definition.retryable,
            ambiguous=self.ambiguous,
            raw=RawFailure(source, operation),
            rule="given",
            retry_after_seconds=self.retry_after,
        )


class Script:
    """A function that raises what it is told to, then returns how often it was called."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls

    async def asynchronous(self, *args: Any, **kwargs: Any) -> int:
        await asyncio.sleep(0)
        return self(*args, **kwargs)


UNSENT = "NETWORK_CONNECT_REFUSED"


def run(workshop: Workshop, script: Script, way: str, *args: Any) -> Any:
    if way == "sync":
        return workshop.guard.call(script, *args)
    return asyncio.run(workshop.guard.call_async(script.asynchronous, *args))


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def outcomes() -> Iterator[list[CallOutcome]]:
    kept: list[CallOutcome] = []
    on_outcome(kept.append)
    yield kept
    remove_hook(kept.append)


# -- the circuit --------------------------------------------------------------------------


def test_a_success_is_told_to_the_circuit(way: str) -> None:
    workshop = make_guard(GuardPolicy("broker"))

    assert run(workshop, Script(), way) == 1
    assert workshop.circuit.reports == ["succeed"]


def test_an_open_circuit_lets_nothing_begin(way: str, outcomes: list[CallOutcome]) -> None:
    workshop, script = make_guard(GuardPolicy("broker", retry=RETRIES)), Script()
    workshop.circuit.remaining_seconds = 12.0

    with pytest.raises(CircuitOpenError):
        run(workshop, script, way)

    assert script.calls == 0
    assert workshop.guard.wait_seconds() == 12.0
    assert [(record.result, record.code, record.attempts) for record in outcomes] == [
        (CallResult.REFUSED, "SYSTEM_CIRCUIT_OPEN", 0)
    ]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("NETWORK_CONNECTION_LOST", "fail"),
        ("TIMEOUT_READ", "fail"),
        ("BROKER_SERVER_ERROR", "fail"),
        ("BROKER_UNAVAILABLE", "fail"),
        ("DATA_MALFORMED_REPLY", "fail"),
        ("BROKER_INSUFFICIENT_FUNDS", "succeed"),
        ("BROKER_MARKET_CLOSED", "succeed"),
        ("BROKER_DUPLICATE_CLIENT_ORDER_ID", "succeed"),
        ("VALIDATION_INVALID_ORDER", "succeed"),
        ("AUTH_INVALID_CREDENTIALS", "release"),
        ("RATE_LIMIT_EXCEEDED", "release"),
        ("SYSTEM_UNEXPECTED", "release"),
    ],
)
def test_a_failure_tells_the_circuit_what_it_means(code: str, told: str, way: str) -> None:
    workshop = make_guard(GuardPolicy("broker"))

    with pytest.raises(RaisedError):
        run(workshop, Script(RaisedError(code)), way)

    assert workshop.circuit.reports == [told]


@pytest.mark.parametrize("code", CATALOG)
def test_only_a_broken_dependency_counts_against_its_circuit(code: str) -> None:
    effect = circuit_effect(RaisedError(code).classified("http", Operation.SUBMIT))

    if effect is CircuitEffect.FAILURE:
        assert code.split("_")[0] in {"NETWORK", "TIMEOUT", "BROKER", "DATA"} or code.endswith("_UNCLASSIFIED")


def test_an_exception_nobody_knows_counts_and_a_mistake_of_ours_does_not(way: str) -> None:
    class PaymentsDownError(Exception):
        pass

    workshop = make_guard(GuardPolicy("payments"))
    for error in (PaymentsDownError("?"), TypeError("a mistake")):
        with suppress(PaymentsDownError, TypeError):
            run(workshop, Script(error), way)

    assert workshop.circuit.reports == ["fail", "release"]


def test_what_ends_the_program_says_nothing_about_the_dependency(way: str, outcomes: list[CallOutcome]) -> None:
    workshop = make_guard(GuardPolicy("broker", retry=RETRIES))

    with pytest.raises(KeyboardInterrupt):
        run(workshop, Script(KeyboardInterrupt()), way)

    assert workshop.circuit.reports == ["release"]
    assert [record.result for record in outcomes] == [CallResult.CANCELED]


def test_a_refusal_of_an_inner_guard_says_nothing_about_the_outer_dependency(way: str) -> None:
    workshop, script = make_guard(GuardPolicy("outer", retry=RETRIES)), Script(CallRefusedError("X", "inner", 1.0))

    with pytest.raises(CallRefusedError):
        run(workshop, script, way)

    assert workshop.circuit.reports == ["release"]
    assert script.calls == 1


# -- attempts -----------------------------------------------------------------------------


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


# -- time ---------------------------------------------------------------------------------


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


# -- place and rate -----------------------------------------------------------------------


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


# -- an attempt of the caller's own -------------------------------------------------------


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


# -- fallbacks ----------------------------------------------------------------------------


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


# -- records ------------------------------------------------------------------------------


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


# -- pace ---------------------------------------------------------------------------------


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
