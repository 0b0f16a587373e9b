"""The official SDK as a second reader: it must see the same account as our adapter does."""

import asyncio
from decimal import Decimal

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import QueryOrderStatus
from alpaca.trading.requests import GetOrdersRequest

from brokers.adapters.alpaca.client import ALPACA
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from tests.brokers.conformance.simulated import API_KEY, API_SECRET, launch_simulated


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with launch_simulated(tmp_path_factory.mktemp("alpaca-py")) as counterpart:
        yield counterpart


def test_the_official_sdk_sees_the_same_orders_positions_and_account(broker):
    terms = OrderTerms("AAPL", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, Decimal(5), limit_price=Decimal("3.25"))

    async def ours():
        session = ALPACA.open_session(broker.settings)
        placed = await session.submit_order("st-sdk-1", terms)
        broker.fill(placed.broker_order_id, Decimal(2))
        await session.submit_order("st-sdk-2", terms)
        everything = await session.list_open_orders(), await session.list_positions(), await session.get_account()
        await session.close()
        return everything

    orders, positions, account = asyncio.run(ours())
    sdk = TradingClient(API_KEY, API_SECRET, url_override=broker.settings.base_url)
    sdk_orders = sdk.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN))
    sdk_account = sdk.get_account()

    assert _by_id(
        (o.broker_order_id, o.client_order_id, o.side.value, o.quantity, o.filled_quantity, o.limit_price)
        for o in orders
    ) == _by_id(
        (str(o.id), o.client_order_id, o.side.value, Decimal(o.qty), Decimal(o.filled_qty), Decimal(o.limit_price))
        for o in sdk_orders
    )
    assert [(p.symbol, p.quantity, p.average_price) for p in positions] == [
        (p.symbol, Decimal(p.qty), Decimal(p.avg_entry_price)) for p in sdk.get_all_positions()
    ]
    assert (account.broker_account_id, account.cash) == (str(sdk_account.id), Decimal(sdk_account.cash))
    assert (account.currency, account.buying_power) == (sdk_account.currency, Decimal(sdk_account.buying_power))


def _by_id(rows):
    return sorted(rows)
