"""What every adapter does when an order is to take the place of another one."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from brokers.adapters.errors import BrokerCallError
from brokers.core.reports import ReportedStatus
from reliability.core.taxonomy import FailureKind
from tests.brokers.conformance.counterpart import Trouble

GONE = frozenset({ReportedStatus.REPLACED, ReportedStatus.CANCELED})


@pytest.fixture
def new_id() -> str:
    return f"st-{uuid4().hex[:26]}"


@pytest.fixture
def changed(counterpart):
    """Return other terms for the resting order, which rest as well."""
    terms = counterpart.resting_terms()
    return replace(terms, quantity=terms.quantity - 1, limit_price=terms.limit_price / 2)


@pytest.fixture
def replaces(target) -> None:
    if not target.adapter.capabilities.replaces_orders:
        pytest.skip("this broker replaces no orders itself")


def test_the_new_order_takes_the_place_of_the_old_one(
    replaces, with_session, counterpart, changed, client_order_id, new_id
):
    async def body(session):
        old = await session.submit_order(client_order_id, counterpart.resting_terms())
        new = await session.replace_order(old.broker_order_id, new_id, changed)
        await until_gone(session, old)
        return old, new, await session.find_order(new_id, changed.symbol), await session.list_open_orders()

    old, new, found, listed = with_session(body)

    assert (new.client_order_id, new.symbol, new.side) == (new_id, changed.symbol, changed.side)
    assert new.broker_order_id != old.broker_order_id
    assert (found.status, found.quantity, found.limit_price) == (
        ReportedStatus.WORKING,
        changed.quantity,
        changed.limit_price,
    )
    open_ids = {order.client_order_id for order in listed}
    assert new_id in open_ids
    assert client_order_id not in open_ids


def test_an_order_that_filled_is_not_replaced(replaces, with_session, counterpart, changed, client_order_id, new_id):
    async def body(session):
        old = await session.submit_order(client_order_id, counterpart.resting_terms())
        counterpart.fill(old.broker_order_id, old.quantity)
        with pytest.raises(BrokerCallError) as caught:
            await session.replace_order(old.broker_order_id, new_id, changed)
        return caught.value, await session.get_order(old.broker_order_id), await session.find_order(new_id, old.symbol)

    error, old, new = with_session(body)

    assert error.kind in (FailureKind.REJECTED, FailureKind.AMBIGUOUS)
    assert (old.status, old.filled_quantity) == (ReportedStatus.FILLED, old.quantity)
    assert new is None


def test_a_replacement_without_a_reply_may_have_taken_place(
    replaces, with_session, counterpart, changed, client_order_id, new_id
):
    async def body(session):
        old = await session.submit_order(client_order_id, counterpart.resting_terms())
        counterpart.make_trouble(Trouble.REPLY_LOST)
        with pytest.raises(BrokerCallError) as caught:
            await session.replace_order(old.broker_order_id, new_id, changed)
        counterpart.clear_trouble()
        return caught.value, await session.find_order(new_id, old.symbol)

    error, new = with_session(body)

    assert error.kind is FailureKind.AMBIGUOUS
    assert new.client_order_id == new_id


def test_a_replacement_that_cannot_be_paid_leaves_no_new_order(
    replaces, with_session, counterpart, changed, client_order_id, new_id
):
    """What became of the old order differs by exchange, and is read back."""
    dear = replace(changed, quantity=Decimal(1000), limit_price=Decimal("90000.00"))

    async def body(session):
        old = await session.submit_order(client_order_id, counterpart.resting_terms())
        with pytest.raises(BrokerCallError) as caught:
            await session.replace_order(old.broker_order_id, new_id, dear)
        return caught.value, await session.find_order(new_id, old.symbol)

    error, new = with_session(body)

    assert error.kind in (FailureKind.REJECTED, FailureKind.AMBIGUOUS)
    assert new is None


def test_a_broker_that_replaces_nothing_refuses_it_unsent(
    target, with_session, counterpart, changed, client_order_id, new_id
):
    if target.adapter.capabilities.replaces_orders:
        pytest.skip("this broker replaces orders")

    async def body(session):
        old = await session.submit_order(client_order_id, counterpart.resting_terms())
        with pytest.raises(BrokerCallError) as caught:
            await session.replace_order(old.broker_order_id, new_id, changed)
        return caught.value, await session.get_order(old.broker_order_id)

    error, old = with_session(body)

    assert error.kind is FailureKind.REJECTED
    assert old.status is ReportedStatus.WORKING


def test_a_malformed_id_replaces_nothing(replaces, with_session, counterpart, changed, new_id):
    for broker_order_id in ("", "..", "a/b"):
        with pytest.raises(BrokerCallError) as caught:
            with_session(lambda session, wanted=broker_order_id: session.replace_order(wanted, new_id, changed))
        assert caught.value.kind is FailureKind.REJECTED


def test_half_of_a_resting_order_may_be_filled_before(
    replaces, with_session, counterpart, changed, client_order_id, new_id
):
    """The new order has the quantity it was asked for, whatever the old one filled."""

    async def body(session):
        old = await session.submit_order(client_order_id, counterpart.resting_terms())
        counterpart.fill(old.broker_order_id, Decimal(1))
        await session.replace_order(old.broker_order_id, new_id, changed)
        before = await until_gone(session, old)
        return before, await session.find_order(new_id, changed.symbol)

    before, new = with_session(body)

    assert before.filled_quantity == 1
    assert (new.quantity, new.filled_quantity) == (changed.quantity, 0)


async def until_gone(session, order):
    async with asyncio.timeout(30):
        while True:
            report = await session.get_order(order.broker_order_id)
            if report.status in GONE:
                return report
            await asyncio.sleep(0.02)
