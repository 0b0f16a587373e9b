"""Orders with exits at Interactive Brokers: a group arrives whole or not at all, and never stands without its exits."""

import asyncio
import itertools
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.ib.address import read_address
from brokers.adapters.ib.connection import GatewayConnection
from brokers.adapters.ib.errors import ExitRefusedError, call_error
from brokers.adapters.ib.parsing import exits_for
from brokers.core.orders import ExitRole, Exits, OrderClass, OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import ReportedStatus
from reliability.core.classification import Operation
from reliability.core.taxonomy import FailureKind
from tests.brokers.adapters.ib.gateway import settings_for, until

BRACKET = Exits(OrderClass.BRACKET, Decimal("9000.00"), Decimal("0.20"), Decimal("0.10"))
PATIENCE = {"drop_request": 5.0, "drop_reply": 5.0, "hang": 0.5, "latency": 20.0}
ADDRESS = "tcp://127.0.0.1:4001"


def placed(gateway, name):
    orders = gateway.ledger().orders_by_client_order_id
    return [len(orders.get(f"{name}{suffix}", [])) for suffix in ("", ".p", ".l")]


@pytest.mark.parametrize(
    ("exits", "suffixes"),
    [
        (BRACKET, [".p", ".l"]),
        (Exits(OrderClass.OTO, take_profit=Decimal("9000.00")), [".p"]),
        (Exits(OrderClass.OTO, stop_loss=Decimal("0.20")), [".l"]),
    ],
)
def test_the_exits_are_children_named_after_their_entry(gateway, terms, exits, suffixes):
    name = f"st-children{len(suffixes)}{suffixes[0]}"

    async def body():
        async with gateway.session() as session:
            report = await session.submit_order(name, replace(terms, exits=exits))
            await session.cancel_order(report.broker_order_id)
            return report, await until(session, report.legs[0].client_order_id, ReportedStatus.CANCELED)

    report, ended = asyncio.run(body())

    assert [leg.client_order_id for leg in report.legs] == [f"{name}{suffix}" for suffix in suffixes]
    assert ended.broker_order_id == report.legs[0].broker_order_id, "the end of the entry ends its exits"


@pytest.mark.parametrize("count", [1, None])
@pytest.mark.parametrize("kind", ["drop_request", "drop_reply", "hang", "latency"])
def test_whatever_is_lost_the_group_arrives_whole_or_not_at_all(gateway, terms, kind, count):
    name = f"st-group-{kind}-{count}"
    gateway.fault(kind, operation="submit", **({"count": count} if count else {}))

    async def body():
        async with gateway.session(call_timeout_seconds=PATIENCE[kind]) as session:
            try:
                await session.submit_order(name, replace(terms, exits=BRACKET))
            except BrokerCallError as error:
                failures.append(error.kind)
            gateway.clear()
        async with gateway.session() as other:
            return await other.find_order(name)

    failures = []
    found = asyncio.run(body())

    assert failures in ([], [FailureKind.AMBIGUOUS])
    if kind == "latency":
        assert placed(gateway, name) == [1, 1, 1]
    assert placed(gateway, name) in ([0, 0, 0], [1, 1, 1])
    assert (found is not None) == (placed(gateway, name) == [1, 1, 1])
    assert found is None or {leg.exit_role for leg in found.legs} == set(ExitRole)
    assert max(gateway.ledger().posts_seen[f"{name}{suffix}"] for suffix in ("", ".p", ".l")) <= 1


def test_a_group_whose_entry_is_refused_is_refused_whole(gateway, terms):
    name = "st-group-refused"

    async def body():
        async with gateway.session() as session:
            too_much = replace(terms, quantity=Decimal(10**9), exits=BRACKET)
            with pytest.raises(BrokerCallError) as caught:
                await session.submit_order(name, too_much)
            return caught.value

    assert asyncio.run(body()).kind is FailureKind.REJECTED
    assert placed(gateway, name) == [0, 0, 0]


def test_two_orders_that_cancel_each_other_are_not_taken_because_they_cannot_arrive_together(gateway, terms):
    async def body():
        async with gateway.session() as session:
            with pytest.raises(BrokerCallError) as caught:
                await session.submit_order("st-oco", replace(terms, exits=replace(BRACKET, order_class=OrderClass.OCO)))
            return caught.value

    assert (asyncio.run(body()).kind, placed(gateway, "st-oco")) == (FailureKind.REJECTED, [0, 0, 0])


def test_a_filled_entry_is_found_with_the_exits_that_work_by_then(gateway, terms):
    async def body():
        async with gateway.session() as session:
            report = await session.submit_order("st-entered", replace(terms, exits=BRACKET))
            await asyncio.to_thread(gateway.counterpart.fill, report.broker_order_id, terms.quantity)
            found = await until(session, "st-entered", ReportedStatus.FILLED)
            await session.cancel_order(found.legs[0].broker_order_id)
            return report, found

    report, found = asyncio.run(body())

    assert [leg.broker_order_id for leg in found.legs] == [leg.broker_order_id for leg in report.legs]


class Client:
    """The socket client of a connection, as far as placing goes."""

    def __init__(self):
        self.placed, self.canceled = [], []
        self._numbers = itertools.count(7)

    def isReady(self):
        return True

    def getReqId(self):
        return next(self._numbers)

    def placeOrder(self, number, contract, order):
        self.placed.append((number, order.orderRef, order.parentId, order.transmit))

    def cancelOrder(self, number):
        self.canceled.append(number)


def test_an_entry_whose_exit_is_refused_is_canceled_and_looked_up():
    async def body():
        connection = GatewayConnection(read_address(settings_for(ADDRESS), ADDRESS), 100)
        client = connection._client = Client()
        terms = OrderTerms("KO", Side.BUY, OrderType.MARKET, TimeInForce.DAY, quantity=Decimal(1), exits=BRACKET)
        orders = [SimpleNamespace(orderRef="st-x", parentId=0, transmit=True), *exits_for("st-x", terms, "")]
        placing = asyncio.create_task(connection.place(None, orders, 1.0, lambda: None))
        for _ in range(20):
            await asyncio.sleep(0)
        numbers = [number for number, *_ in client.placed]
        for place, number in enumerate(numbers[:2]):
            order = SimpleNamespace(permId=10 + place, clientId=100, orderRef=client.placed[place][1])
            connection.received.openOrder(number, None, order, SimpleNamespace(status="PreSubmitted"))
        connection.received.error(numbers[2], 201, "Order rejected - reason:price")
        connection.received.orderStatus(numbers[2], "Inactive", 0.0, 0.0, 0.0, 0, 0, 0.0, 100, "", 0.0)
        with pytest.raises(ExitRefusedError, match="canceled") as caught:
            await placing
        return client, numbers, caught.value

    client, numbers, error = asyncio.run(body())

    assert [(ref, parent, transmit) for _, ref, parent, transmit in client.placed] == [
        ("st-x", 0, False), ("st-x.p", numbers[0], False), ("st-x.l", numbers[0], True),
    ]  # fmt: skip
    assert client.canceled == [numbers[0]]
    failure = call_error(Operation.SUBMIT, error)
    assert (failure.kind, failure.code) == (FailureKind.AMBIGUOUS, "BROKER_EXIT_REFUSED"), "it is looked up"
