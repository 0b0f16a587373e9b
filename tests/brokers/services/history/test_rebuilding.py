"""Orders are what their events make them, whatever happened to them on the way."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.conf import get_conf
from brokers.core.history import COLUMNS, as_known_at, fold
from brokers.core.orders import FINAL_STATES, OrderState
from brokers.core.reports import OrderReport, ReportedStatus
from brokers.models import Account, Order, OrderEvent
from brokers.selectors.history import find_order_then, read_events
from brokers.services.cancellation import request_cancel
from brokers.services.history.rebuilding import compare_order, compare_orders, repair_order
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import FailureKind
from reliability.models import AuditEntry, Job
from reliability.services.jobs.deadletters import discard_dead_letters
from tests.factories import make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {
    "symbol": "AAPL",
    "side": "buy",
    "quantity": "10",
    "type": "limit",
    "limit_price": "99.1234",
}
KINDS = (FailureKind.TRANSIENT, FailureKind.THROTTLED, FailureKind.REJECTED, FailureKind.AMBIGUOUS)


@pytest.fixture
def order_id(account: Account) -> UUID:
    return accept_order(owner_id=make_user().pk, actor="desk", submission=OrderSubmission("k1", BODY)).id


@pytest.fixture
def settled_at_once(settings: Any) -> Iterator[None]:
    """Absence is believed as soon as it was looked up often enough."""
    settings.BROKERS = {**settings.BROKERS, "settle_time": timedelta(0)}
    get_conf.cache_clear()
    yield
    get_conf.cache_clear()


def all_differences() -> list[str]:
    return [str(difference) for progress in compare_orders(batch=3) for difference in progress.differences]


class Life:
    """One order driven through the real services by drawn steps, each of which may be refused."""

    def __init__(self, broker: FakeBroker, account: Account, order_id: UUID) -> None:
        self.broker, self.account, self.order_id = broker, account, order_id

    @property
    def ours(self) -> str:
        return Order.objects.get(pk=self.order_id).client_order_id

    def work(self) -> None:
        make_due()
        run_due("orders")

    def fail(self, kind: FailureKind, carried_out: bool) -> None:
        self.broker.fail("submit", call_error(kind), carried_out=carried_out and kind is FailureKind.AMBIGUOUS)
        self.work()

    def lose_look_up(self) -> None:
        self.broker.fail("find", call_error(FailureKind.TRANSIENT))
        self.work()

    def refuse_cancel(self) -> None:
        self.broker.fail("cancel", call_error(FailureKind.REJECTED))
        self.cancel()
        self.work()

    def cancel(self) -> None:
        with suppress(ReliabilityError):  # a final order
            request_cancel(self.order_id, actor="desk")

    def fill(self, quantity: int, price: str) -> None:
        if self.ours in self.broker.orders:
            fill = self.broker.execute(self.ours, quantity, 0)
            self.broker.fills[-1] = fill = replace(fill, price=Decimal(price))
            with transaction.atomic():
                record_evidence(self.account.pk, list(self.broker.orders.values()), [fill], "stream")

    def report(self, status: ReportedStatus) -> None:
        if self.ours in self.broker.orders:
            known = self.broker.orders[self.ours]
            report = OrderReport(
                self.ours, known.broker_order_id, status, known.symbol, known.side, known.filled_quantity
            )
            with transaction.atomic():
                record_evidence(self.account.pk, [report], self.broker.fills, "poll")

    def prove_absence(self) -> None:
        """Look it up until a broker that does not know it provably never got it; there is no time to settle."""
        for _ in range(4):
            self.work()

    def crash(self) -> None:
        """A process dies with the order in its hands: the next attempt begins where it was."""
        from reliability.services.jobs.execution import claim_and_prepare

        make_due()
        claim_and_prepare("orders", 1, 100)
        Job.objects.filter(state="running").update(state="ready", worker=None, lease_until=None)

    def give_up(self) -> None:
        Job.objects.filter(kind="orders.submit", state="ready").update(state="dead")
        dead = list(Job.objects.filter(state="dead").values_list("pk", flat=True))
        if dead:
            discard_dead_letters(dead, actor="night", reason="given up")


openings = st.one_of(
    st.just(("work",)),
    st.tuples(st.just("fail"), st.sampled_from(KINDS), st.booleans()),
    st.sampled_from([("crash",), ("cancel",), ("give_up",)]),
)
steps = st.one_of(
    st.tuples(st.just("work")),
    st.tuples(st.just("fail"), st.sampled_from(KINDS), st.booleans()),
    st.tuples(st.just("lose_look_up")),
    st.tuples(st.just("refuse_cancel")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("fill"), st.integers(1, 6), st.decimals("0.000001", "99999999", places=12).map(str)),
    st.tuples(st.just("report"), st.sampled_from(list(ReportedStatus))),
    st.tuples(st.just("prove_absence")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("give_up")),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.builds(lambda opening, rest: [opening, *rest], openings, st.lists(steps, min_size=3, max_size=10)))
def test_any_order_is_what_its_events_make_it(
    broker: FakeBroker, account: Account, settled_at_once: None, plan: list[Any]
) -> None:
    broker.capabilities = replace(broker.capabilities, settle_time=timedelta(0))
    with transaction.atomic():
        broker.orders.clear(), broker.fills.clear(), broker._troubles.clear()
        key = OrderSubmission(f"k{Order.objects.count()}", BODY)
        owner = make_user()
        life = Life(broker, account, accept_order(owner_id=owner.pk, actor="desk", submission=key).id)
        for name, *arguments in plan:
            getattr(life, name)(*arguments)

        assert compare_order(life.order_id) is None
        events = read_events(life.order_id)
        _check_every_beginning(events)
        transaction.set_rollback(True)


def _check_every_beginning(events: list[Any]) -> None:
    """Each beginning of a history is a history: numbered, moving forward, nothing booked ever lost."""
    before = fold(events[:1])
    for length in range(2, len(events) + 1):
        after = fold(events[:length])
        assert (after.version, after.state) == (length, events[length - 1].to_state)
        assert after.filled_quantity >= before.filled_quantity
        assert after.reported_filled_quantity >= before.reported_filled_quantity
        assert before.broker_order_id in ("", after.broker_order_id)
        assert (after.finished_at is None) == (OrderState(after.state) not in FINAL_STATES)
        before = after


def test_every_column_of_an_order_follows_from_its_events() -> None:
    assert set(COLUMNS) == {field.attname for field in Order._meta.concrete_fields}


def test_a_column_changed_beside_the_services_is_named(broker: FakeBroker, order_id: UUID) -> None:
    run_due("orders")
    assert all_differences() == []

    Order.objects.filter(pk=order_id).update(filled_quantity=3, error_code="X")

    (difference,) = all_differences()
    assert str(order_id) in difference
    assert "filled_quantity is Decimal('3.000000000000'), by its events" in difference
    assert "error_code" in difference
    with pytest.raises(CommandError, match="1 orders checked, 1 differ"):
        call_command("orders", "rebuild", "--verify", "--quiet")


def test_orders_are_walked_in_batches_to_the_end(account: Account) -> None:
    owner = make_user()
    for number in range(7):
        accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(f"k{number}", BODY))
    Order.objects.filter(idempotency_key="k6").update(version=9)

    found = list(compare_orders(batch=3))

    assert [progress.checked for progress in found] == [3, 6, 7]
    (difference,) = [difference for progress in found for difference in progress.differences]
    assert difference.columns == {"version": (9, 1)}


def test_events_without_their_order_are_found(order_id: UUID) -> None:
    Job.objects.all().delete()
    Order.objects.filter(pk=order_id)._raw_delete("default")

    assert all_differences() == [f"order {order_id}: it has events and no row"]

    repair_order(order_id, actor="night", reason="deleted by hand")
    assert compare_order(order_id) is None


def test_a_repair_needs_a_reason_and_is_on_record(broker: FakeBroker, order_id: UUID) -> None:
    run_due("orders")
    Order.objects.filter(pk=order_id).update(state="filled")
    with pytest.raises(ReliabilityError, match="reason"):
        repair_order(order_id, actor="night", reason=" ")

    call_command("orders", "rebuild", "--repair", "--order", str(order_id), "--reason", "a script went wrong")

    assert Order.objects.get(pk=order_id).state == "working"
    entry = AuditEntry.objects.get(action="repair_order")
    assert (entry.before, entry.after) == ({"state": "filled"}, {"state": "working"})
    assert all_differences() == []
    assert repair_order(order_id, actor="night", reason="again") is None


def test_an_order_is_shown_as_it_was_known(broker: FakeBroker, account: Account, order_id: UUID) -> None:
    run_due("orders")
    with transaction.atomic():
        fill = broker.execute(Order.objects.get(pk=order_id).client_order_id, 4)
        record_evidence(account.pk, list(broker.orders.values()), [fill], "stream")
    events = read_events(order_id)

    states = {}
    for event in events:
        then = find_order_then(order_id, event.recorded_at)
        assert then is not None
        assert then.values is not None
        states[event.kind] = (then.values.state, then.values.filled_quantity, then.later)
    early = find_order_then(order_id, events[0].recorded_at - timedelta(microseconds=1))

    assert states["sending"] == ("sending", 0, len(events) - 2)
    assert states["fill"][:2] == ("partially_filled", 4)
    assert early is not None
    assert (early.values, early.steps, early.later) == (None, [], len(events))
    assert len(as_known_at(events, events[-1].recorded_at)) == len(events) == OrderEvent.objects.count()
