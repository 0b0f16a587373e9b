"""What every adapter does with an order that brings exits along, where its broker takes them."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from brokers.core.orders import ExitRole, Exits, OrderClass
from brokers.core.reports import ReportedStatus


@pytest.fixture
def bracket(target, counterpart):
    if not target.adapter.capabilities.attaches_exits:
        pytest.skip("this broker takes no orders with exits")
    exits = Exits(OrderClass.BRACKET, Decimal("9000.00"), Decimal("0.20"), Decimal("0.10"))
    return replace(counterpart.resting_terms(), exits=exits)


def test_the_exits_are_named_in_the_reply_and_when_the_order_is_asked_for(with_session, bracket, client_order_id):
    async def body(session):
        placed = await session.submit_order(client_order_id, bracket)
        return placed, await session.get_order(placed.broker_order_id)

    placed, asked = with_session(body)

    assert {leg.exit_role for leg in placed.legs} == set(ExitRole)
    assert [leg.broker_order_id for leg in placed.legs] == [leg.broker_order_id for leg in asked.legs]
    assert {leg.quantity for leg in asked.legs} == {bracket.quantity}
    assert {leg.side for leg in asked.legs} != {bracket.side}
    assert {leg.status for leg in asked.legs} == {ReportedStatus.WORKING}


def test_an_exit_is_an_order_that_fills_and_ends_the_other(with_session, counterpart, bracket, client_order_id):
    async def body(session):
        placed = await session.submit_order(client_order_id, bracket)
        counterpart.fill(placed.broker_order_id, bracket.quantity)
        profit, loss = sorted(placed.legs, key=lambda leg: leg.exit_role is ExitRole.STOP_LOSS)
        filled = await _until(lambda: _filled(session, counterpart, profit))
        return filled, await _until(lambda: _ended(session, loss))

    profit, loss = with_session(body)

    assert (profit.status, profit.filled_quantity) == (ReportedStatus.FILLED, bracket.quantity)
    assert loss.status is ReportedStatus.CANCELED


async def _filled(session, counterpart, profit):
    """Fill the take-profit, which works from the moment on in which its entry has filled."""
    try:
        await asyncio.to_thread(counterpart.fill, profit.broker_order_id, profit.quantity)
    except OSError:
        return None
    return await session.get_order(profit.broker_order_id)


async def _ended(session, order):
    report = await session.get_order(order.broker_order_id)
    return None if report.status is ReportedStatus.WORKING else report


async def _until(ask):
    """Ask until there is an answer."""
    async with asyncio.timeout(30):
        while True:
            answer = await ask()
            if answer is not None:
                return answer
            await asyncio.sleep(0.02)
