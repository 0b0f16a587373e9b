"""What the Interactive Brokers adapter makes of refusals, warnings and races, and what it finds when it looks."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.ib.client import IB
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import ReportedStatus
from reliability.core.taxonomy import FailureKind
from tests.brokers.adapters.ib.gateway import settings_for, until


def _market(quantity):
    return OrderTerms("KO", Side.BUY, OrderType.MARKET, TimeInForce.DAY, quantity=Decimal(quantity))


def _fails(gateway, client_order_id, terms, **options):
    """Submit, expecting a failure; return it with what the ledger has of the order."""

    async def body():
        async with gateway.session(**options) as session:
            with pytest.raises(BrokerCallError) as caught:
                await session.submit_order(client_order_id, terms)
            return caught.value

    error = asyncio.run(body())
    ledger = gateway.ledger()
    return error, ledger.posts_seen[client_order_id], len(ledger.orders_by_client_order_id.get(client_order_id, []))


def test_a_rejection_without_the_orders_own_status_proves_nothing(gateway, terms):
    gateway.fault("ib_error", operation="submit", code=201, message="Order rejected - reason:margin", count=1)

    error, seen, placed = _fails(gateway, "st-no-status", terms)

    assert (error.kind, error.code, error.raw_code) == (FailureKind.AMBIGUOUS, "BROKER_INSUFFICIENT_FUNDS", "201")
    assert (seen, placed) == (1, 0)


@pytest.mark.parametrize("status", ["Inactive", "Cancelled"])
def test_a_rejection_with_the_orders_own_status_is_one(gateway, terms, status):
    gateway.fault(
        "ib_error", operation="submit", code=201, message="Order rejected - reason:margin", status=status, count=1
    )

    error, seen, placed = _fails(gateway, f"st-ended-{status}", terms)

    assert (error.kind, error.code) == (FailureKind.REJECTED, "BROKER_INSUFFICIENT_FUNDS")
    assert (seen, placed) == (1, 0)


def test_an_order_the_venue_refuses_is_refused_with_its_reason(gateway):
    error, seen, placed = _fails(gateway, "st-too-rich", _market(10**7))

    assert (error.kind, error.code) == (FailureKind.REJECTED, "BROKER_INSUFFICIENT_FUNDS")
    assert (seen, placed) == (1, 0)


@pytest.mark.parametrize("code", [399, 404, 2109, 2161])
def test_a_warning_leaves_the_order_alive(gateway, terms, code):
    gateway.fault("ib_error", operation="submit", code=code, message="Order Message: held", answered=True, count=1)

    async def body():
        async with gateway.session() as session:
            return await session.submit_order(f"st-warned-{code}", terms)

    assert asyncio.run(body()).status is ReportedStatus.WORKING


def test_a_repeated_order_number_is_a_reason_to_look(gateway, terms):
    gateway.fault("ib_error", operation="submit", code=103, message="Duplicate order id", count=1)

    error, seen, placed = _fails(gateway, "st-number", terms)

    assert (error.kind, error.raw_code) == (FailureKind.AMBIGUOUS, "103")
    assert (seen, placed) == (1, 0)


def test_a_message_dropped_for_pacing_leaves_the_outcome_unknown(gateway, terms):
    gateway.fault("rate_limit", operation="submit", count=1)

    error, seen, placed = _fails(gateway, "st-paced", terms, call_timeout_seconds=1.0)

    assert (error.kind, error.code) == (FailureKind.AMBIGUOUS, "TIMEOUT_READ")
    assert (seen, placed) == (1, 0)


def test_a_lost_contract_look_up_means_nothing_was_sent(gateway, terms):
    gateway.fault("hang", operation="data")

    error, seen, placed = _fails(gateway, "st-no-contract", terms, call_timeout_seconds=1.0)

    assert error.kind is FailureKind.TRANSIENT
    assert (seen, placed) == (0, 0)


@pytest.mark.parametrize("symbol", ["nosuch", "A B", "", "AAPL\0", "../AAPL", "TOOLONGASYMBOLNAME"])
def test_what_cannot_be_a_symbol_is_refused_without_a_connection(symbol):
    terms = replace(_market(1), symbol=symbol)

    async def body():
        session = IB.open_session(settings_for("tcp://127.0.0.1:1"))
        with pytest.raises(BrokerCallError) as caught:
            await session.submit_order("st-symbol", terms)
        await session.close()
        return caught.value

    assert asyncio.run(body()).kind is FailureKind.REJECTED


def test_an_order_that_may_not_rest_ends_canceled_and_not_refused(gateway):
    gateway.fault("pause_matching")
    terms = OrderTerms("KO", Side.BUY, OrderType.LIMIT, TimeInForce.IOC, quantity=Decimal(2), limit_price=Decimal(1))

    async def body():
        async with gateway.session() as session:
            report = await session.submit_order("st-ioc", terms)
            gateway.clear()
            return report, await until(session, "st-ioc", ReportedStatus.CANCELED)

    placed, ended = asyncio.run(body())

    assert placed.status is ReportedStatus.WORKING
    assert ended.filled_quantity == 0


def test_a_filled_order_is_found_among_the_completed_ones_with_what_it_filled(gateway):
    async def body():
        async with gateway.session() as session:
            await session.submit_order("st-filled", _market(3))
            return await until(session, "st-filled", ReportedStatus.FILLED), await session.list_positions()

    report, positions = asyncio.run(body())

    assert (report.filled_quantity, report.quantity) == (3, 3)
    assert "KO" in {position.symbol for position in positions}


def test_a_list_that_never_ends_is_given_up_with_its_connection(gateway, terms):
    async def body():
        async with gateway.session(call_timeout_seconds=0.6) as session:
            await session.submit_order("st-list", terms)
            gateway.fault("hang", operation="query", count=1)
            with pytest.raises(BrokerCallError) as caught:
                await session.find_order("st-list")
            return caught.value, await session.find_order("st-list")

    error, found = asyncio.run(body())

    assert (error.kind, error.code) == (FailureKind.TRANSIENT, "TIMEOUT_READ")
    assert found.status is ReportedStatus.WORKING


def test_two_hundred_questions_at_once_share_their_answers(gateway, terms):
    async def body():
        async with gateway.session() as session:
            await session.submit_order("st-shared", terms)
            return await asyncio.gather(*(session.find_order("st-shared") for _ in range(200)))

    assert {report.client_order_id for report in asyncio.run(body())} == {"st-shared"}


def test_too_many_messages_are_refused_before_they_are_sent(gateway, terms):
    address = gateway.settings.base_url.replace("messages_per_second=5000", "messages_per_second=2")

    async def body():
        async with gateway.session(base_url=address, call_timeout_seconds=1.2) as session:
            calls = (session.submit_order(f"st-burst-{number}", terms) for number in range(12))
            return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = asyncio.run(body())
    seen = gateway.ledger().posts_seen

    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, BrokerCallError):
            assert (outcome.kind is FailureKind.AMBIGUOUS) is (seen[f"st-burst-{number}"] == 1)
        assert seen[f"st-burst-{number}"] == (not isinstance(outcome, BrokerCallError))
    assert FailureKind.THROTTLED in {getattr(outcome, "kind", None) for outcome in outcomes}


def test_a_refused_cancel_is_final_only_if_the_order_is(gateway, terms):
    async def body():
        async with gateway.session() as session:
            placed = await session.submit_order("st-race", terms)
            gateway.fault("ib_error", operation="cancel", code=10147, message="OrderId is not found.", count=1)
            with pytest.raises(BrokerCallError) as alive:
                await session.cancel_order(placed.broker_order_id)
            gateway.counterpart.fill(placed.broker_order_id, Decimal(4))
            with pytest.raises(BrokerCallError) as filled:
                await session.cancel_order(placed.broker_order_id)
            return alive.value, filled.value

    alive, filled = asyncio.run(body())

    assert alive.kind is FailureKind.AMBIGUOUS
    assert (filled.kind, filled.code) == (FailureKind.REJECTED, "BROKER_ORDER_NOT_CANCELABLE")
