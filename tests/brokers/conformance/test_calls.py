"""What every adapter does when nothing goes wrong."""

import asyncio
from decimal import Decimal

import pytest

from brokers.adapters.errors import BrokerCallError
from brokers.core.reports import ReportedStatus
from reliability.core.taxonomy import FailureKind
from tests.brokers.conformance.counterpart import filled_after_each
from tests.patience import PATIENCE_SECONDS


def test_a_submitted_order_is_reported_with_its_terms(with_session, counterpart, client_order_id):
    terms = counterpart.resting_terms()

    report = with_session(lambda session: session.submit_order(client_order_id, terms, "correlation-1"))

    assert report.client_order_id == client_order_id
    assert report.broker_order_id
    assert (report.symbol, report.side, report.quantity) == (terms.symbol, terms.side, terms.quantity)
    assert report.status is ReportedStatus.WORKING
    assert counterpart.count_submissions(client_order_id) == 1


def test_an_order_is_found_by_either_id_and_among_the_open_ones(with_session, counterpart, client_order_id):
    async def body(session):
        placed = await session.submit_order(client_order_id, counterpart.resting_terms())
        by_ours = await session.find_order(client_order_id, counterpart.resting_terms().symbol)
        by_theirs = await session.get_order(placed.broker_order_id)
        listed = await session.list_open_orders()
        return placed, by_ours, by_theirs, listed

    placed, by_ours, by_theirs, listed = with_session(body)

    assert by_ours == by_theirs
    assert by_ours.broker_order_id == placed.broker_order_id
    assert client_order_id in {order.client_order_id for order in listed}


def test_an_order_nobody_placed_is_firmly_absent(with_session, counterpart, client_order_id):
    symbol = counterpart.resting_terms().symbol

    assert with_session(lambda session: session.find_order(client_order_id, symbol)) is None


def test_an_unknown_broker_order_id_is_refused_and_not_confused_with_an_order(with_session):
    with pytest.raises(BrokerCallError) as caught:
        with_session(lambda session: session.get_order("61e69015-8549-4bfd-b9c3-01e75843f47d"))

    assert caught.value.kind is FailureKind.REJECTED


@pytest.mark.parametrize("broker_order_id", ["", "..", "../orders", "a/b", "a?b", "a b"])
def test_a_malformed_broker_order_id_never_becomes_another_request(
    with_session, counterpart, client_order_id, broker_order_id
):
    async def body(session):
        await session.submit_order(client_order_id, counterpart.resting_terms())
        with pytest.raises(BrokerCallError) as caught:
            await session.cancel_order(broker_order_id)
        return caught.value, await session.find_order(client_order_id, counterpart.resting_terms().symbol)

    error, order = with_session(body)

    assert error.kind is FailureKind.REJECTED
    assert order.status is ReportedStatus.WORKING
    assert not order.cancel_pending


def test_a_canceled_order_leaves_the_open_ones(with_session, counterpart, client_order_id):
    async def body(session):
        placed = await session.submit_order(client_order_id, counterpart.resting_terms())
        await session.cancel_order(placed.broker_order_id)
        return await _until(session, placed, ReportedStatus.CANCELED)

    assert with_session(body).status is ReportedStatus.CANCELED


def test_a_refused_order_is_refused_and_absent(with_session, counterpart, client_order_id):
    async def body(session):
        with pytest.raises(BrokerCallError) as caught:
            await session.submit_order(client_order_id, counterpart.invalid_terms())
        return caught.value, await session.find_order(client_order_id, counterpart.resting_terms().symbol)

    error, order = with_session(body)

    assert error.kind is FailureKind.REJECTED
    assert order is None


def test_the_same_id_twice_is_no_refusal_but_a_reason_to_look(with_session, target, counterpart, client_order_id):
    if not target.adapter.capabilities.dedupes_client_order_id:
        pytest.skip("this broker takes an id more than once")

    async def body(session):
        await session.submit_order(client_order_id, counterpart.resting_terms())
        with pytest.raises(BrokerCallError) as caught:
            await session.submit_order(client_order_id, counterpart.resting_terms())
        return caught.value

    assert with_session(body).kind is FailureKind.AMBIGUOUS


def test_fills_are_listed_once_each_and_in_order_behind_the_cursor(with_session, counterpart, client_order_id):
    async def body(session):
        start = (await session.list_fills("")).cursor
        placed = await session.submit_order(client_order_id, counterpart.resting_terms())
        for quantity in (Decimal(1), Decimal("1.5")):
            counterpart.fill(placed.broker_order_id, quantity)
        first = await session.list_fills(start)
        nothing = await session.list_fills(first.cursor)
        counterpart.fill(placed.broker_order_id, Decimal("1.5"))
        return first, nothing, await session.list_fills(first.cursor), placed

    first, nothing, second, placed = with_session(body)

    assert [fill.quantity for fill in first.fills] == [1, Decimal("1.5")]
    assert filled_after_each(first.fills) == [1, Decimal("2.5")]
    assert (nothing.fills, nothing.cursor) == ((), first.cursor)
    assert [fill.quantity for fill in second.fills] == [Decimal("1.5")]
    fills = first.fills + second.fills
    assert len({fill.execution_id for fill in fills}) == 3
    assert {fill.broker_order_id for fill in fills} == {placed.broker_order_id}


def test_many_pages_of_fills_are_complete(with_session, counterpart, client_order_id):
    async def body(session):
        start = (await session.list_fills("")).cursor
        placed = await session.submit_order(client_order_id, counterpart.resting_terms())
        for _ in range(205):
            counterpart.fill(placed.broker_order_id, Decimal("0.01"))
        return await session.list_fills(start)

    page = with_session(body)

    assert filled_after_each(page.fills) == [Decimal(n) / 100 for n in range(1, 206)]


def test_many_pages_of_open_orders_are_complete(with_session, counterpart, client_order_id):
    ids = {f"{client_order_id[:20]}-{number}" for number in range(520)}

    async def body(session):
        await asyncio.gather(*(session.submit_order(name, counterpart.resting_terms()) for name in ids))
        return await session.list_open_orders()

    listed = with_session(body)

    assert ids <= {order.client_order_id for order in listed}
    assert len({order.broker_order_id for order in listed}) == len(listed)


def test_positions_and_balances_follow_a_fill(with_session, counterpart, client_order_id):
    async def body(session):
        before = {position.symbol: position.quantity for position in await session.list_positions()}
        cash = (await session.get_account()).cash
        placed = await session.submit_order(client_order_id, counterpart.resting_terms())
        counterpart.fill(placed.broker_order_id, Decimal(2))
        after = {position.symbol: position.quantity for position in await session.list_positions()}
        return before.get(placed.symbol, 0), after[placed.symbol], cash - (await session.get_account()).cash

    before, after, spent = with_session(body)

    assert after - before == 2
    assert spent == 2


def test_instruments_are_listed(with_session, target, counterpart):
    if not target.lists_instruments:
        pytest.skip("this broker has no list of instruments")
    instruments = with_session(lambda session: session.list_instruments())

    assert counterpart.resting_terms().symbol in {item.symbol for item in instruments if item.tradable}


def test_two_hundred_submissions_at_once_stay_apart(with_session, counterpart, client_order_id):
    ids = [f"{client_order_id[:20]}-{number}" for number in range(200)]

    async def body(session):
        return await asyncio.gather(*(session.submit_order(name, counterpart.resting_terms()) for name in ids))

    reports = with_session(body)

    assert [report.client_order_id for report in reports] == ids
    assert len({report.broker_order_id for report in reports}) == 200
    assert {counterpart.count_submissions(name) for name in ids[::20]} == {1}


async def _until(session, order, status):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            report = await session.find_order(order.client_order_id, order.symbol)
            if report.status is status:
                return report
            await asyncio.sleep(0.02)
