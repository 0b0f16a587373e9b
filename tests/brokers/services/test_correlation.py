"""The correlation id goes all the way: request, row, job, event, broker call, error, task; each hop shown."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.models import BasketLeg, Order, OrderEvent
from brokers.services import sessions
from brokers.services.accounts import AccountProfile
from brokers.services.baskets.acceptance import accept_basket, cancel_basket
from brokers.services.cancellation import request_cancel
from brokers.services.market_data import BarSource, SourceAddress
from brokers.services.replacement import request_replace
from brokers.services.sessions import get_session
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import want_sync
from reliability.core.correlation import correlated, current_correlation_id
from reliability.core.jobs import Performed
from reliability.models import ErrorEvent, Job, Saga
from reliability.services.error_recorder import errors
from reliability.services.guarding.outcomes import CallOutcome, on_trouble, remove_hook
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from reliability.tasks.correlation import HEADER, begin_correlation, carry_correlation, end_correlation
from tests.brokers.adapters.alpaca_contract import order_examples
from tests.brokers.services.wire import Wire, wire_profile
from tests.factories import make_user
from tests.fakes import NO_PULSE, _perform, make_due

pytestmark = pytest.mark.django_db

ORDER = order_examples()["/components/examples/EquityOrderResponse/value"]
BODY = {"symbol": "AAPL", "side": "buy", "type": "limit", "limit_price": "10", "quantity": "10"}
TERMS = OrderTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, Decimal(1))


@pytest.fixture
def wire() -> Iterator[Wire]:
    server = Wire()
    server.reply = _takes_orders
    yield server
    server.close()


def _takes_orders(method: str, path: str, body: bytes) -> tuple[int, str]:
    """Answer as Alpaca does: a new order for one that is sent, its change for a change, 204 for a cancel."""
    if method == "DELETE":
        return 204, ""
    if method in ("POST", "PATCH"):
        asked = json.loads(body)
        name = asked["client_order_id"]
        facts = {"id": f"b-{name[-8:]}", "client_order_id": name, "status": "new", "filled_qty": "0"}
        return 200, json.dumps({**ORDER, **facts})
    return 404, json.dumps({"code": 40410000, "message": "order not found"})


@pytest.fixture
def profile(db: None, fresh_accounts: None, wire: Wire) -> AccountProfile:
    return wire_profile(wire)


def work(lane: str = "orders") -> None:
    """Run what is due in a lane, in a process of its own as far as sessions go."""
    make_due(lane=lane)
    calls, _ = claim_and_prepare(lane, NO_PULSE, 100)

    async def together() -> list[Performed]:
        outcomes = list(await asyncio.gather(*(_perform(call) for call in calls)))
        for _, session in sessions._sessions.values():
            await session.close()
        sessions._sessions.clear()
        return outcomes

    if calls:
        apply_outcomes(asyncio.run(together()))


def submit(key: str, correlation_id: str) -> Order:
    owner = make_user(name=f"owner-{key}")
    with correlated(correlation_id):
        accepted = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(key, BODY))
    return Order.objects.get(pk=accepted.id)


def test_a_submission_reaches_the_broker_under_the_id_of_its_request(profile: AccountProfile, wire: Wire) -> None:
    order = submit("k1", "desk-1")
    work()

    assert order.correlation_id == "desk-1"
    assert Job.objects.get().correlation_id == "desk-1"
    assert wire.correlations("POST") == ["desk-1"]


def test_a_cancel_goes_under_the_id_of_whoever_asked_for_it(profile: AccountProfile, wire: Wire) -> None:
    order = submit("k1", "desk-1")
    work()
    with correlated("desk-2"):
        request_cancel(order.pk, actor="desk")
    work()

    assert Job.objects.get(kind="orders.cancel").correlation_id == "desk-2"
    assert wire.correlations("DELETE") == ["desk-2"]
    event = OrderEvent.objects.get(order=order, kind="cancel_requested")
    assert event.evidence["correlation_id"] == "desk-2"


def test_a_cancel_nobody_in_particular_asked_for_goes_under_the_orders_own(profile: AccountProfile, wire: Wire) -> None:
    order = submit("k1", "desk-1")
    work()
    request_cancel(order.pk, actor="desk")
    work()

    assert wire.correlations("DELETE") == ["desk-1"]


def test_a_replacement_goes_under_its_own_id(profile: AccountProfile, wire: Wire) -> None:
    order = submit("k1", "desk-1")
    work()
    with correlated("desk-3"):
        submission = OrderSubmission("k2", {"limit_price": "11"})
        new = request_replace(order.pk, owner_id=order.owner_id, actor="desk", submission=submission)
    work()

    assert Order.objects.get(pk=new.id).correlation_id == "desk-3"
    assert wire.correlations("PATCH") == ["desk-3"]


def test_a_look_up_of_an_unknown_order_goes_under_the_orders_id(profile: AccountProfile, wire: Wire) -> None:
    order = submit("k1", "desk-1")
    wire.reply = lambda method, path, body: (500, "") if method == "POST" else _takes_orders(method, path, body)
    work()
    errors.write()
    work()

    order.refresh_from_db()
    assert order.state == "unknown"
    assert wire.correlations("GET") == ["desk-1"]
    assert ErrorEvent.objects.get().correlation_id == "desk-1", "the error is found by the same id"


def test_legs_of_a_basket_go_under_the_id_of_its_request(profile: AccountProfile, wire: Wire) -> None:
    owner = make_user()
    with correlated("basket-7"):
        basket = accept_basket(owner_id=owner.pk, actor="desk", idempotency_key="b1", body={"legs": [BODY, BODY]}).id
    for _ in range(3):
        work()

    assert Saga.objects.get(pk=basket).correlation_id == "basket-7"
    legs = Order.objects.filter(pk__in=BasketLeg.objects.values("order"))
    assert {leg.correlation_id for leg in legs} == {"basket-7"}
    assert set(wire.correlations("POST")) == {"basket-7"}
    with correlated("basket-8"):
        cancel_basket(basket, actor="desk")
    for _ in range(2):
        work()
    assert set(wire.correlations("DELETE")) == {"basket-8"}


CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("submit_order", ("st-1", TERMS)),
    ("replace_order", ("b-1", "st-2", TERMS)),
    ("cancel_order", ("b-1",)),
    ("get_order", ("b-1",)),
    ("find_order", ("st-1",)),
    ("list_open_orders", ()),
    ("page_open_orders", ("",)),
    ("page_fills", ("",)),
    ("list_fills", ("",)),
    ("list_positions", ()),
    ("get_account", ()),
    ("list_instruments", ()),
]


def call(profile: AccountProfile, method: str, *arguments: Any) -> None:
    async def make() -> None:
        sessions._sessions.clear()
        session = get_session(profile)
        try:
            await getattr(session, method)(*arguments)
        except BrokerCallError:
            pass
        finally:
            await session.close()

    asyncio.run(make())


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_every_call_of_alpaca_carries_the_id(
    profile: AccountProfile, wire: Wire, method: str, arguments: tuple[Any, ...]
) -> None:
    with correlated("desk-5"):
        call(profile, method, *arguments)

    assert set(wire.correlations()) == {"desk-5"}


def test_market_data_is_asked_under_the_id_too(profile: AccountProfile, wire: Wire) -> None:
    async def fetch() -> None:
        source = BarSource(SourceAddress("desk", data_url=wire.url), profile)
        try:
            with correlated("desk-6"):
                await source.fetch_bars("AAPL", "1Min", timezone.now(), timezone.now(), "")
        except BrokerCallError:
            pass
        finally:
            await source.close()

    asyncio.run(fetch())
    assert set(wire.correlations()) == {"desk-6"}


def test_a_call_that_nobody_asked_for_has_an_id_of_its_own_that_its_record_names(
    profile: AccountProfile, wire: Wire
) -> None:
    outcomes: list[CallOutcome] = []
    on_trouble(outcomes.append)
    try:
        call(profile, "get_order", "b-1")
    finally:
        remove_hook(outcomes.append)

    (sent,) = wire.correlations()
    assert len(sent) == 32
    assert outcomes[0].correlation_id == sent


def test_work_that_begins_by_itself_gets_an_id_for_all_of_its_calls(profile: AccountProfile, wire: Wire) -> None:
    want_sync({profile.id})
    work("recovery")

    job = Job.objects.get()
    assert len(job.correlation_id) == 32
    assert set(wire.correlations()) == {job.correlation_id}


def test_a_task_runs_under_the_id_of_whoever_sent_it() -> None:
    headers: dict[str, str] = {}
    with correlated("desk-9"):
        carry_correlation(headers=headers)
    request = SimpleNamespace(get={HEADER: headers[HEADER]}.get, headers=None)

    begin_correlation(SimpleNamespace(request=request), "t1")
    try:
        assert current_correlation_id() == "desk-9"
        again: dict[str, str] = {}
        carry_correlation(headers=again)
        assert again == headers, "what the task sends on, a retry of it too, keeps the id"
    finally:
        end_correlation("t1")
    assert current_correlation_id() == ""


def test_a_task_nobody_sent_on_purpose_gets_an_id_of_its_own() -> None:
    request = SimpleNamespace(get={}.get, headers={HEADER: "two\r\nlines"})
    begin_correlation(SimpleNamespace(request=request), "t2")
    try:
        assert len(current_correlation_id()) == 32
    finally:
        end_correlation("t2")
