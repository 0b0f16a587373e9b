"""A guarded Celery task: what goes back to the queue, and what of it counts as a retry."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Ignore, Retry
from kombu import Connection

from reliability.core.budget import DEFAULT_BUDGET, BudgetPolicy
from reliability.core.fallback import OtherFunction
from reliability.core.retry import RetryPolicy
from reliability.services.circuits import CircuitOpenError
from reliability.services.guarding.decorator import _wrap, guard
from reliability.services.guarding.policy import GuardPolicy
from reliability.tasks.guarded import guarded_task
from tests.reliability.services.guarding.support import UNSENT, RaisedError, Script, Workshop, make_guard

RETRIES = RetryPolicy(max_attempts=4)


@pytest.fixture
def app() -> Iterator[Celery]:
    one = Celery("shop", broker="memory://", set_as_current=False)
    one.conf.task_default_queue = "shop"
    with Connection("memory://") as connection:
        connection.SimpleQueue("shop").clear()
    yield one
    one.close()


class Bench:
    """One guarded task, run as a worker would run it."""

    def __init__(
        self, app: Celery, script: Script, fallback: Any = None, budget: BudgetPolicy = DEFAULT_BUDGET
    ) -> None:
        policy = GuardPolicy("payments", retry=RETRIES)
        self.workshop: Workshop = make_guard(policy, fallback=fallback, budget=budget)

        def pay(task: Any, order: str) -> int:
            return script(order)

        self.task = app.task(bind=True, shared=False, name="pay", max_retries=0)(_wrap(self.workshop.guard, pay))
        self.app = app

    def run(self, *, retries: int = 0) -> Any:
        self.task.push_request(
            id="t-1",
            args=["order-1"],
            kwargs={},
            retries=retries,
            called_directly=False,
            is_eager=False,
            delivery_info={},
        )
        try:
            return self.task.run("order-1")
        finally:
            self.task.pop_request()

    def sent(self) -> dict[str, Any]:
        """Return the headers of the one message that went back to the queue."""
        with self.app.connection_for_read() as connection:
            message = connection.SimpleQueue("shop").get(timeout=60)
            message.ack()
            headers: dict[str, Any] = message.headers
            return headers


def test_a_task_that_works_returns_its_value(app: Celery) -> None:
    assert Bench(app, Script()).run() == 1


@pytest.mark.parametrize("retries", [0, 2, 3])
def test_an_open_circuit_puts_the_task_back_without_using_up_an_attempt(app: Celery, retries: int) -> None:
    script = Script()
    bench = Bench(app, script)
    bench.workshop.circuit.remaining_seconds = 20.0

    with pytest.raises(Retry) as raised:
        bench.run(retries=retries)

    assert bench.sent()["retries"] == retries
    assert 20 <= raised.value.when <= 21
    assert script.calls == 0


def test_a_failure_that_passes_is_a_retry_of_the_task(app: Celery) -> None:
    bench = Bench(app, Script(RaisedError(UNSENT)))

    with pytest.raises(Retry) as raised:
        bench.run(retries=1)

    assert bench.sent()["retries"] == 2
    assert raised.value.when == pytest.approx(0.1)
    assert bench.workshop.clock.sleeps == [], "nothing sleeps in a worker"


def test_a_task_comes_back_after_a_wait_that_no_call_would_sit_out(app: Celery) -> None:
    bench = Bench(app, Script(RaisedError("RATE_LIMIT_EXCEEDED", retry_after=36_000.0)))

    with pytest.raises(Retry) as raised:
        bench.run()

    assert raised.value.when == 300


def test_the_last_attempt_raises_what_happened(app: Celery) -> None:
    with pytest.raises(RaisedError, match=UNSENT):
        Bench(app, Script(RaisedError(UNSENT))).run(retries=3)


def test_an_unknown_outcome_is_never_retried(app: Celery) -> None:
    with pytest.raises(RaisedError, match="TIMEOUT_READ"):
        Bench(app, Script(RaisedError("TIMEOUT_READ", ambiguous=True))).run()


def test_a_retry_without_budget_waits_and_costs_no_attempt(app: Celery) -> None:
    script = Script()
    bench = Bench(app, script, budget=BudgetPolicy(deposit=0.0, floor_per_second=0.0))

    with pytest.raises(Retry):
        bench.run(retries=2)

    assert bench.sent()["retries"] == 2
    assert script.calls == 0
    assert bench.run(retries=0) == 1, "a first attempt needs no budget"


def test_tasks_that_wait_come_back_one_after_the_other(app: Celery) -> None:
    bench = Bench(app, Script())
    bench.workshop.circuit.remaining_seconds = 20.0
    waits = []
    for _ in range(50):
        with pytest.raises(Retry) as raised:
            bench.run()
        waits.append(raised.value.when)

    assert waits == sorted(waits)
    assert waits[-1] - waits[0] == pytest.approx(49 / 50, abs=0.05)


def test_no_wait_is_longer_than_a_message_may_be_kept(app: Celery) -> None:
    bench = Bench(app, Script())
    bench.workshop.circuit.remaining_seconds = 86_400.0

    with pytest.raises(Retry) as raised:
        bench.run()

    assert raised.value.when == 300


def test_a_body_that_tells_celery_what_to_do_is_obeyed(app: Celery) -> None:
    bench = Bench(app, Script(Ignore()))

    with pytest.raises(Ignore):
        bench.run()
    assert bench.workshop.circuit.reports == ["release"]


def test_the_answer_of_a_fallback_is_the_result(app: Celery) -> None:
    bench = Bench(app, Script(), fallback=OtherFunction(lambda task, order: f"{order} on paper"))
    bench.workshop.circuit.remaining_seconds = 20.0

    assert bench.run() == "order-1 on paper"


def test_called_like_a_function_it_retries_within_the_call(app: Celery) -> None:
    bench = Bench(app, Script(RaisedError(UNSENT)))

    assert bench.task("order-1") == 2
    bench.workshop.circuit.remaining_seconds = 20.0
    with pytest.raises(CircuitOpenError):
        bench.task("order-1")


def test_a_task_cannot_be_guarded_from_outside(app: Celery) -> None:
    with pytest.raises(TypeError, match="below @shared_task"):
        guard("payments")(Bench(app, Script()).task)


@pytest.mark.parametrize("option", ["autoretry_for", "max_retries", "bind"])
def test_only_one_of_both_decides_about_retries(option: str) -> None:
    with pytest.raises(TypeError, match=option):
        guarded_task("payments", task_options={option: 3})


def test_both_decorators_in_one_make_a_bound_task(app: Celery) -> None:
    @guarded_task("payments", task_options={"name": "shop.pay"}, retry=RetryPolicy(max_attempts=2), timeout=2)
    def pay(task: Any, order: str) -> str:
        return f"{task.name} {order}"

    assert pay.name == "shop.pay"
    assert pay.run.guard.policy.timeout == timedelta(seconds=2)
