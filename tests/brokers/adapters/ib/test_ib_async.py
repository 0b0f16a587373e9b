"""The simulated gateway answers the client of ib_async as it is, with all that a user of it calls at the start."""

import asyncio

import pytest
from ib_async import IB, LimitOrder, MarketOrder, Stock

from tests.brokers.conformance.ib_gateway import ACCOUNT
from tests.patience import PATIENCE_SECONDS


def _run(gateway, body, client_id=7):
    async def connected():
        host, port = gateway.settings.base_url.split("?")[0].removeprefix("tcp://").split(":")
        client = IB()
        await client.connectAsync(host, int(port), clientId=client_id, timeout=PATIENCE_SECONDS, raiseSyncErrors=True)
        try:
            return await body(client)
        finally:
            client.disconnect()

    return asyncio.run(connected())


async def _until(condition):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  the library tells by changing what it returned
            await asyncio.sleep(0.02)


def test_it_connects_and_synchronizes(gateway):
    async def body(client):
        return client.managedAccounts(), client.client.serverVersion(), await client.reqCurrentTimeAsync()

    accounts, version, now = _run(gateway, body)

    assert (accounts, version) == ([ACCOUNT], 178)
    assert now.tzinfo is not None


def test_a_market_order_fills_and_is_reported_everywhere(gateway):
    async def body(client):
        contract = Stock("MSFT", "SMART", "USD")
        await client.qualifyContractsAsync(contract)
        trade = client.placeOrder(contract, MarketOrder("BUY", 3, orderRef="st-market", tif="DAY"))
        await _until(trade.isDone)
        return (
            trade,
            await client.reqExecutionsAsync(),
            await client.reqCompletedOrdersAsync(False),
            await client.reqPositionsAsync(),
            await client.accountSummaryAsync(),
        )

    trade, fills, completed, positions, summary = _run(gateway, body)

    assert (trade.orderStatus.status, trade.orderStatus.filled) == ("Filled", 3.0)
    assert sum(fill.execution.shares for fill in trade.fills) == 3
    mine = [fill.execution for fill in fills if fill.execution.orderRef == "st-market"]
    assert {execution.permId for execution in mine} == {trade.orderStatus.permId}
    done = next(each for each in completed if each.order.orderRef == "st-market")
    assert (done.orderStatus.status, done.order.filledQuantity) == ("Filled", 3.0)
    assert {item.contract.symbol: item.position for item in positions}["MSFT"] == 3
    assert {row.tag for row in summary} >= {"NetLiquidation", "TotalCashValue", "BuyingPower"}


def test_a_limit_order_rests_is_listed_to_every_client_and_canceled_by_its_own(gateway):
    async def body(client):
        contract = Stock("AAPL", "SMART", "USD")
        trade = client.placeOrder(contract, LimitOrder("BUY", 4, 1.5, orderRef="st-rests", tif="GTC"))
        await _until(lambda: trade.orderStatus.status == "Submitted")
        listed = await client.reqAllOpenOrdersAsync()
        client.cancelOrder(trade.order)
        await _until(trade.isDone)
        return trade, listed, await client.reqAllOpenOrdersAsync()

    trade, listed, left = _run(gateway, body)

    row = next(each for each in listed if each.order.permId == trade.order.permId)
    assert (row.order.lmtPrice, row.order.totalQuantity, row.order.tif, row.order.orderRef) == (
        1.5,
        4.0,
        "GTC",
        "st-rests",
    )
    assert trade.orderStatus.status == "Cancelled"
    assert trade.order.permId not in {each.order.permId for each in left}


def test_what_it_refuses_ends_inactive_with_the_reason(gateway):
    async def body(client):
        errors = []
        client.errorEvent += lambda number, code, text, contract: errors.append((code, text))
        trade = client.placeOrder(
            Stock("AAPL", "SMART", "USD"), MarketOrder("BUY", 10**7, orderRef="st-rich", tif="DAY")
        )
        await _until(lambda: trade.isDone() and trade.orderStatus.status == "Inactive")
        return errors

    errors = _run(gateway, body)

    assert (201, "Order rejected - reason:insufficient buying power") in errors


def test_a_client_id_lets_one_connection_in(gateway):
    async def body(client):
        second = IB()
        host, port = client.client.host, client.client.port
        with pytest.raises((TimeoutError, ConnectionError)):
            await second.connectAsync(host, port, clientId=7, timeout=1)
        return client.isConnected()

    assert _run(gateway, body)
