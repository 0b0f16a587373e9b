"""A kill switch among orders that are accepted and sent by other threads at the same moment."""

import threading
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.models import Account, KillSwitch, Order
from brokers.services.halts import forget_halts
from brokers.services.kill_switch import engage, stop_orders
from brokers.services.submission import AcceptedOrder, OrderSubmission, accept_orders
from reliability.models import Job
from tests.factories import make_user
from tests.fakes import FakeBroker, make_due, run_due

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 12


class Traffic:
    """Threads that accept orders and threads that send them until they are told to stop."""

    def __init__(self, owner_id: int, batch: int) -> None:
        self._owner_id, self._batch = owner_id, batch
        self.is_over = threading.Event()
        self.is_engaged = threading.Event()
        self.begun_after: set[Any] = set()  # accepted in calls that began after the switch was in force
        self.accepted = 0
        self.errors: list[BaseException] = []

    def accept(self, name: str) -> None:
        number = 0
        while not self.is_over.is_set():
            was_engaged = self.is_engaged.is_set()
            number += 1
            bodies = [
                OrderSubmission(f"{name}-{number}-{n}", {"symbol": "AAPL", "side": "buy", "quantity": "1"})
                for n in range(self._batch)
            ]
            answers = accept_orders(owner_id=self._owner_id, actor="desk", submissions=bodies)
            taken = [answer.id for answer in answers if isinstance(answer, AcceptedOrder)]
            self.accepted += len(taken)
            if was_engaged:
                self.begun_after.update(taken)

    def send(self, _: str) -> None:
        while not self.is_over.is_set():
            run_due("orders")

    def run(self, target: Any, name: str) -> None:
        try:
            target(name)
        except BaseException as error:
            self.errors.append(error)
        finally:
            connection.close()


@settings(
    max_examples=ROUNDS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(batch=st.integers(1, 8), orders_before=st.integers(0, 60), forgets=st.booleans())
def test_no_order_accepted_after_the_switch_reaches_the_broker(
    committed: None, broker: FakeBroker, account: Account, batch: int, orders_before: int, forgets: bool
) -> None:
    KillSwitch.objects.update(released_at="2026-01-01T00:00:00Z", released_by="x", release_wanted_by="y")
    Job.objects.all().update(state="discarded")
    forget_halts()
    traffic = Traffic(make_user().pk, batch)
    threads = [
        threading.Thread(target=traffic.run, args=(work, f"t{n}"))
        for n, work in enumerate([traffic.accept, traffic.accept, traffic.send, traffic.send])
    ]
    for thread in threads:
        thread.start()
    while traffic.accepted < orders_before and not traffic.errors:
        pass
    switch = engage("global", reason="drill", actor="night")
    traffic.is_engaged.set()
    if forgets:
        forget_halts()
    traffic.is_over.wait(0.05)  # the threads go on for a moment
    traffic.is_over.set()
    for thread in threads:
        thread.join(30)

    assert traffic.errors == []
    assert traffic.begun_after == set(), "an acceptance that begins after the switch is in force is refused"
    for _ in range(10):
        stop_orders(switch.pk)
        make_due(lane="orders")
        if not run_due("orders"):
            break
    unsent = Order.objects.filter(error_code="VALIDATION_TRADING_HALTED")
    assert not unsent.filter(client_order_id__in=list(broker.orders)).exists(), "canceled unsent, yet at the broker"
    open_orders = Order.objects.filter(finished_at=None)
    assert not open_orders.filter(cancel_requested_at=None).exists(), "every order that was sent is being canceled"
    assert {broker.orders[one.client_order_id].broker_order_id for one in open_orders} <= set(broker.canceled)
