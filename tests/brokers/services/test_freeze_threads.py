"""A freeze among orders that other threads send at the same moment."""

import threading

import pytest
from django.db import connection

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.models import Account, FreezeEvent, Order
from brokers.services.freezes import freeze_trading, release_freeze
from brokers.services.submission import AcceptedOrder, OrderSubmission, accept_orders
from tests.factories import make_user
from tests.fakes import FakeBroker, make_due, run_due

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 5
ORDERS = 40


def accept(owner_id: int, number: int) -> None:
    body = {"symbol": "AAPL", "side": "buy", "quantity": "1"}
    orders = [OrderSubmission(f"{number}-{one}", body) for one in range(ORDERS)]
    answers = accept_orders(owner_id=owner_id, actor="desk", submissions=orders)
    assert all(isinstance(answer, AcceptedOrder) for answer in answers)


one_at_a_time = threading.Lock()


def send_until(is_over: threading.Event, errors: list[BaseException]) -> None:
    try:
        while not is_over.is_set():
            with one_at_a_time:  # making all due locks them in no order
                make_due(lane="orders")
            run_due("orders")
    except BaseException as error:
        errors.append(error)
    finally:
        connection.close()


def test_no_order_is_marked_as_being_sent_while_a_freeze_is_in_force(
    committed: None, broker: FakeBroker, account: Account
) -> None:
    owner_id = make_user().pk
    errors: list[BaseException] = []
    for number in range(ROUNDS):
        is_over = threading.Event()
        senders = [threading.Thread(target=send_until, args=(is_over, errors)) for _ in range(2)]
        accept(owner_id, 2 * number)
        for sender in senders:
            sender.start()
        scope = parse_freeze_scope("account:desk")
        freeze_id = freeze_trading(scope, FreezeMode.HALT, FreezeCause.STREAM_DOWN, reason="drill", by="x")
        accept(owner_id, 2 * number + 1)
        is_over.wait(0.2)  # the senders go on for a moment
        in_force = FreezeEvent.objects.get(freeze=freeze_id, kind="in_force").recorded_at
        assert not Order.objects.filter(sent_at__gt=in_force).exists()
        release_freeze(freeze_id, by="x", reason="over")
        is_over.set()
        for sender in senders:
            sender.join(60)

    assert errors == []
    while run_due("orders"):
        make_due(lane="orders")
    make_due(lane="orders")
    run_due("orders")
    assert not Order.objects.filter(state="accepted").exists(), "what waited is sent after the release"
    assert len(broker.orders) == 2 * ROUNDS * ORDERS
