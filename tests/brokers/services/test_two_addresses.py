"""Calls at a broker with two addresses: nothing is sent twice that may have arrived."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from brokers.adapters import registry
from brokers.adapters.errors import BrokerCallError
from brokers.adapters.interface import AccountSettings, BrokerSession
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.core.streams import Endpoint
from brokers.models import Account, Broker, StreamSession
from brokers.services.accounts import forget_accounts, get_profile
from brokers.services.sessions import get_session
from brokers.services.two_addresses import TwoAddressSession
from reliability.core.taxonomy import FailureKind
from tests.fakes import FakeBroker, call_error

TERMS = OrderTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, quantity=Decimal(1))
REFUSED = call_error(FailureKind.TRANSIENT, "NETWORK_CONNECT_REFUSED")
LOST = call_error(FailureKind.AMBIGUOUS, "NETWORK_CONNECTION_LOST")


class Desk:
    """One account by its two addresses; ``now`` is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.primary, self.backup = FakeBroker(), FakeBroker()
        self.backup.orders = self.primary.orders
        both = {Endpoint.PRIMARY: self.primary, Endpoint.BACKUP: self.backup}
        self.session = TwoAddressSession(both, Endpoint.PRIMARY, lambda: self.now)

    def call(self, make: Callable[[BrokerSession], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await make(self.session)

        return asyncio.run(run())

    def submit(self, name: str) -> Any:
        return self.call(lambda session: session.submit_order(name, TERMS))

    @property
    def calls(self) -> tuple[list[str], list[str]]:
        return self.primary.calls, self.backup.calls


def test_an_order_that_never_left_goes_to_the_other_address_at_once() -> None:
    desk = Desk()
    desk.primary.fail("submit", REFUSED)
    assert desk.submit("c-1").client_order_id == "c-1"
    assert desk.calls == (["submit"], ["submit"])


def test_an_order_that_may_have_arrived_is_sent_nowhere_else_and_looked_up_where_there_is_an_answer() -> None:
    desk = Desk()
    desk.primary.fail("submit", LOST, carried_out=True)
    with pytest.raises(BrokerCallError) as caught:
        desk.submit("c-1")
    assert (caught.value.kind, desk.calls) == (FailureKind.AMBIGUOUS, (["submit"], []))

    assert desk.call(lambda session: session.find_order("c-1")).client_order_id == "c-1"
    assert desk.calls == (["submit"], ["find"])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("find", lambda session: session.find_order("c-1")),
        ("open", lambda session: session.list_open_orders()),
        ("fills", lambda session: session.list_fills("")),
        ("account", lambda session: session.get_account()),
    ],
)
def test_a_question_is_asked_again_at_the_other_address(name: str, make: Callable[[Any], Awaitable[Any]]) -> None:
    desk = Desk()
    desk.primary.fail(name, call_error(FailureKind.TRANSIENT, "TIMEOUT_READ"))
    desk.call(make)
    assert desk.calls == ([name], [name])


def test_an_answer_of_the_broker_is_final_at_either_address() -> None:
    desk = Desk()
    desk.primary.fail("submit", call_error(FailureKind.REJECTED, "BROKER_INSUFFICIENT_FUNDS"))
    with pytest.raises(BrokerCallError):
        desk.submit("c-1")
    assert desk.calls == (["submit"], [])


def test_an_address_that_failed_is_left_out_for_a_while() -> None:
    desk = Desk()
    desk.primary.fail("submit", REFUSED)
    for name in ("c-1", "c-2"):
        desk.submit(name)
    assert desk.calls == (["submit"], ["submit", "submit"])

    desk.now = 6.0
    desk.submit("c-3")
    assert desk.calls == (["submit", "submit"], ["submit", "submit"])


def test_an_address_that_leaves_a_call_unanswered_gets_no_further_ones() -> None:
    desk = Desk()
    answer = asyncio.Event()

    async def hang(client_order_id: str, terms: OrderTerms, correlation_id: str = "") -> Any:
        await answer.wait()
        return desk.primary.place(client_order_id)

    async def run() -> tuple[list[str], list[str]]:
        submit, desk.primary.submit_order = desk.primary.submit_order, hang  # type: ignore[method-assign]
        hanging = asyncio.create_task(desk.session.submit_order("c-1", TERMS))
        await asyncio.sleep(0)
        desk.primary.submit_order = submit  # type: ignore[method-assign]
        desk.now = 1.5
        await desk.session.submit_order("c-2", TERMS)
        answer.set()
        await hanging
        await desk.session.submit_order("c-3", TERMS)
        return desk.calls

    assert asyncio.run(run()) == (["submit"], ["submit"])


def test_when_neither_can_be_reached_the_call_fails_and_both_are_tried_again() -> None:
    desk = Desk()
    desk.primary.fail("submit", REFUSED)
    desk.backup.fail("submit", REFUSED)
    with pytest.raises(BrokerCallError):
        desk.submit("c-1")
    assert desk.submit("c-1").client_order_id == "c-1"


class ByAddress(FakeBroker):
    """An adapter whose sessions at different addresses are different brokers in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[str, FakeBroker] = {}

    def open_session(self, settings: AccountSettings) -> FakeBroker:
        return self.at.setdefault(settings.base_url, FakeBroker())


@pytest.mark.django_db
def test_calls_begin_where_the_stream_processes_found_an_answer(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_address = ByAddress()
    monkeypatch.setitem(registry._ADAPTERS, "fake", by_address)
    Broker.objects.update(base_url="http://127.0.0.1:8", backup_base_url="http://127.0.0.1:9")
    StreamSession.objects.create(account=account, calls_to=Endpoint.BACKUP)
    forget_accounts()

    async def ask() -> None:
        await get_session(get_profile(account.pk)).get_account()

    get_profile(account.pk)
    asyncio.run(ask())
    assert [by_address.at[f"http://127.0.0.1:{port}"].calls for port in (8, 9)] == [[], ["account"]]
