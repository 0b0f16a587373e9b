"""Messages as they come off the wire: read right, or not at all."""

import asyncio
import random
import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.adapters.ib import parsing
from brokers.adapters.ib.errors import GatewayError
from brokers.adapters.ib.known_orders import Submission
from brokers.adapters.ib.receiver import OPEN_ORDERS, Receiver, StrictDecoder
from brokers.simulator.ib import wire
from brokers.simulator.ib.wire import Binding
from brokers.simulator.instruments import CATALOGUE
from brokers.simulator.orders import Fill, Order, OrderType, Side, Status, TimeInForce

NOW = datetime(2026, 3, 2, 14, 30, 5, tzinfo=UTC)
ACCOUNT = "DU1"
prices = st.decimals("0.01", "99999", places=2)
quantities = st.decimals("0.001", "99999", places=3)
statuses = st.sampled_from([Status.NEW, Status.PARTIALLY_FILLED, Status.FILLED, Status.CANCELED, Status.PENDING_CANCEL])


@st.composite
def orders(draw):
    kind = draw(st.sampled_from(list(OrderType)))
    quantity = draw(quantities)
    status = draw(statuses)
    filled = quantity if status is Status.FILLED else Decimal(0)
    return Order(
        id="x",
        client_order_id=f"st-{draw(st.integers(0, 10**9))}",
        symbol=draw(st.sampled_from(sorted(CATALOGUE))),
        side=draw(st.sampled_from(list(Side))),
        type=kind,
        time_in_force=draw(st.sampled_from(list(TimeInForce))),
        quantity=quantity,
        reference_price=Decimal(1),
        status=status,
        submitted_at=NOW,
        updated_at=NOW,
        expires_at=NOW,
        limit_price=draw(prices) if "limit" in kind else None,
        stop_price=draw(prices) if "stop" in kind else None,
        sequence=draw(st.integers(0, 10**6)),
        filled_quantity=filled,
        filled_value=filled * 2,
    )


def _receive(*frames, prepare=lambda receiver: None):
    """Hand frames to a fresh receiver and return it."""

    async def body():
        receiver = Receiver(100)
        decoder = StrictDecoder(receiver, wire.SERVER_VERSION)
        prepare(receiver)
        for frame in frames:
            assert struct.unpack(">I", frame[:4])[0] == len(frame) - 4
            decoder.interpret(wire.split(frame[4:]))
        return receiver

    return asyncio.run(body())


def _state(order, binding=None):
    binding = binding or Binding(100, 1)
    instrument = CATALOGUE[order.symbol]
    return wire.open_order(order, instrument, binding, ACCOUNT), wire.order_status(order, binding)


@given(order=orders())
def test_an_open_order_is_read_as_the_gateway_meant_it(order):
    receiver = _receive(*_state(order))

    report = parsing.open_order_report(receiver.memory.find(wire.perm_id(order)))

    assert not receiver.lost.done()
    assert (report.client_order_id, report.symbol, report.side) == (order.client_order_id, order.symbol, order.side)
    assert (report.quantity, report.filled_quantity) == (order.quantity, order.filled_quantity)
    assert report.limit_price == order.limit_price


@given(order=orders())
def test_a_completed_order_is_read_as_the_gateway_meant_it(order):
    order.status = Status.CANCELED
    rows = []
    message = wire.completed_order(order, CATALOGUE[order.symbol], ACCOUNT)

    receiver = _receive(
        message, prepare=lambda receiver: setattr(receiver, "completedOrder", lambda *row: rows.append(row))
    )

    report = parsing.completed_order_report(*rows[0])
    assert not receiver.lost.done()
    assert (report.client_order_id, report.broker_order_id) == (order.client_order_id, str(wire.perm_id(order)))
    assert report.status is parsing.ReportedStatus.CANCELED


@given(order=orders(), price=prices)
def test_an_execution_is_read_as_the_gateway_meant_it(order, price):
    fill = Fill(
        execution_id="0193f3a0-0000-7001-8000-000000000000",
        activity_id="a",
        order_id="x",
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=price,
        cumulative_quantity=order.quantity,
        leaves_quantity=Decimal(0),
        position_quantity=order.quantity,
        at=NOW,
    )
    order.filled_quantity, order.filled_value = order.quantity, order.quantity * price
    rows = []
    message = wire.execution(-1, fill, order, CATALOGUE[order.symbol], Binding(100, 1), ACCOUNT)

    _receive(message, prepare=lambda receiver: setattr(receiver, "execDetails", lambda *row: rows.append(row)))

    report = parsing.fill_report(*rows[0][1:])
    assert (report.quantity, report.price, report.executed_at) == (fill.quantity, price, NOW)
    assert (report.symbol, report.side, report.cumulative_quantity) == (order.symbol, order.side, order.quantity)


@given(order=orders(), seed=st.integers(0, 2**32))
@settings(max_examples=300)
def test_a_damaged_list_is_never_taken_for_a_shorter_one(order, seed):
    """Either the order is in the answer, or there is no answer."""
    draws = random.Random(seed)
    fields = wire.split(_state(order)[0][4:])
    for _ in range(draws.randint(1, 3)):
        place = draws.randrange(len(fields))
        action = draws.choice(["change", "drop", "add"])
        if action == "change":
            fields[place] = draws.choice(["?", "", "-1", "x1", "9" * 30])
        elif action == "drop" and len(fields) > 1:
            del fields[place]
        else:
            fields.insert(place, draws.choice(["", "7", "?"]))
    answers = []

    def prepare(receiver):
        answers.append(receiver.expect(OPEN_ORDERS))

    message = wire.frame(*fields)
    is_about_an_order = fields[0] == "5"
    receiver = _receive(message, wire.frame(53, 1), prepare=prepare)

    if not is_about_an_order:
        return
    (answer,) = answers
    if receiver.lost.done():
        assert isinstance(answer.exception(), GatewayError)
    else:
        assert len(answer.result()) == 1


@pytest.mark.parametrize(
    "fields",
    [
        ("5",),
        ("3", "1", "Submitted"),
        ("53x",),
        (),
        ("11", "1", "?"),
        ("61", "3", "DU1"),
        ("4", "2", "x", "y"),
    ],
)
def test_what_cannot_be_read_ends_the_connection(fields):
    receiver = _receive(wire.frame(*fields))

    assert receiver.lost.result().code == "DATA_MALFORMED_REPLY"


def test_a_message_nobody_knows_changes_nothing():
    assert not _receive(wire.frame(999, 1, "news")).lost.done()


def _submission(order):
    def prepare(receiver):
        receiver.submissions[1] = Submission(order.client_order_id, asyncio.get_running_loop().create_future())

    return prepare


@given(order=orders(), others=st.permutations(["open", "status", "error"]))
def test_a_refusal_takes_the_orders_own_end_and_a_reason_in_any_order(order, others):
    order.status, order.filled_quantity = Status.REJECTED, Decimal(0)
    opened, status = _state(order)
    frames = {"open": opened, "status": status, "error": wire.error(1, 201, "Order rejected - reason:margin")}

    receiver = _receive(*(frames[name] for name in others), prepare=_submission(order))

    assert receiver.submissions[1].outcome.exception().number == 201


@given(order=orders(), others=st.permutations(["open", "status", "error"]))
def test_an_order_that_filled_is_never_refused(order, others):
    order.status, order.filled_quantity, order.filled_value = Status.FILLED, order.quantity, order.quantity
    opened, status = _state(order)
    frames = {"open": opened, "status": status, "error": wire.error(1, 201, "Order rejected - reason:margin")}

    receiver = _receive(*(frames[name] for name in others), prepare=_submission(order))

    outcome = receiver.submissions[1].outcome
    assert not outcome.done() or outcome.exception() is None


@pytest.mark.parametrize("code", [1100, 2110])
def test_a_lost_link_is_remembered_until_it_is_back(code):
    assert not _receive(wire.error(-1, code, "lost")).is_linked
    assert _receive(wire.error(-1, code, "lost"), wire.error(-1, 1102, "back")).is_linked


def test_an_acknowledgement_under_another_name_is_not_ours():
    order = Order(
        "x",
        "st-other",
        "AAPL",
        Side.BUY,
        OrderType.MARKET,
        TimeInForce.DAY,
        Decimal(1),
        Decimal(1),
        Status.NEW,
        NOW,
        NOW,
        NOW,
    )

    def prepare(receiver):
        receiver.submissions[1] = Submission("st-ours", asyncio.get_running_loop().create_future())

    receiver = _receive(*_state(order), prepare=prepare)

    assert receiver.submissions[1].outcome.exception().code == "DATA_WRONG_ORDER"
