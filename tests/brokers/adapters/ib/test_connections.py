"""Client ids, the link behind the gateway, its stream, and its restarts."""

import asyncio
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from brokers.adapters.errors import BrokerCallError, StreamLostError
from brokers.adapters.ib import sessions
from brokers.adapters.ib.client import IB
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import ReportedStatus
from reliability.core.taxonomy import FailureKind
from tests.brokers.adapters.ib.gateway import settings_for, until
from tests.brokers.conformance.ib_gateway import ACCOUNT, OPTIONS
from tests.brokers.conformance.simulated import REPOSITORY, read_address
from tests.patience import PATIENCE_SECONDS

NARROW = "client_ids=200-201&messages_per_second=5000"


def test_sessions_take_ids_of_their_own_and_their_orders_stay_apart(gateway, terms):
    async def body():
        async with gateway.session() as first, gateway.session() as second:
            placed = await asyncio.gather(
                *(
                    session.submit_order(f"st-own-{name}", terms)
                    for name, session in enumerate((first, second))
                    for _ in "x"
                )
            )
            return placed, await second.find_order("st-own-0")

    placed, seen_by_other = asyncio.run(body())

    assert len({report.broker_order_id for report in placed}) == 2
    assert seen_by_other.broker_order_id == placed[0].broker_order_id


def test_an_order_of_a_session_that_is_gone_can_be_canceled(gateway, terms):
    async def body():
        async with gateway.session() as first:
            await first.get_account()
            async with gateway.session() as second:
                placed = await second.submit_order("st-orphan", terms)
            await first.cancel_order(placed.broker_order_id)
            return await until(first, "st-orphan", ReportedStatus.CANCELED)

    assert asyncio.run(body()).status is ReportedStatus.CANCELED


def test_an_order_of_a_busy_session_waits_for_its_cancel_and_gets_it(gateway, terms, monkeypatch):
    async def body():
        async with gateway.session() as first, gateway.session() as second:
            monkeypatch.setattr(sessions, "IDLE_SECONDS", 3600)  # busy until it was refused, however slow the machine
            placed = await second.submit_order("st-busy", terms)
            with pytest.raises(BrokerCallError) as caught:
                await first.cancel_order(placed.broker_order_id)
            monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.1)
            await second.get_account()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    try:
                        await first.cancel_order(placed.broker_order_id)
                        break
                    except BrokerCallError as error:
                        await asyncio.sleep(error.retry_after_seconds or 0.1)
            return caught.value, await until(first, "st-busy", ReportedStatus.CANCELED)

    error, report = asyncio.run(body())

    assert (error.kind, error.code, error.raw_code) == (FailureKind.TRANSIENT, "AUTH_SESSION_CONFLICT", "326")
    assert report.status is ReportedStatus.CANCELED


def test_a_connection_on_which_nothing_is_heard_any_more_is_given_up(gateway, terms):
    async def body():
        async with gateway.session(call_timeout_seconds=0.4) as session:
            await session.submit_order("st-frozen", terms)
            before = session._connections._current
            gateway.counterpart.freeze()
            try:
                with pytest.raises(BrokerCallError) as caught:
                    await session.find_order("st-frozen")
                used = session._connections._current
            finally:
                gateway.counterpart.thaw()
            return caught.value, used is before, await session.find_order("st-frozen")

    error, is_kept, found = asyncio.run(body())

    assert (error.kind, is_kept) == (FailureKind.TRANSIENT, False)
    assert found.status is ReportedStatus.WORKING


def test_a_stream_that_finds_its_id_taken_says_so_in_the_end(gateway):
    async def body():
        async with gateway.session() as session:
            stream = session.stream_orders()
            await anext(stream)
            async with gateway.session(call_timeout_seconds=0.3) as other:
                with pytest.raises(StreamLostError) as caught:
                    await anext(other.stream_orders())
            await stream.aclose()
            return caught.value

    assert asyncio.run(body()).code == "AUTH_SESSION_CONFLICT"


def test_without_a_free_id_nothing_is_sent(gateway, terms):
    address = gateway.settings.base_url.replace(OPTIONS, NARROW)

    async def body():
        async with gateway.session(base_url=address) as one, gateway.session(base_url=address) as two:
            await asyncio.gather(one.get_account(), two.get_account())
            async with gateway.session(base_url=address) as three:
                with pytest.raises(BrokerCallError) as caught:
                    await three.submit_order("st-crowd", terms)
                return caught.value

    error = asyncio.run(body())

    assert (error.kind, error.code) == (FailureKind.TRANSIENT, "AUTH_SESSION_CONFLICT")
    assert gateway.ledger().posts_seen["st-crowd"] == 0


def test_an_order_placed_by_another_program_is_not_canceled(gateway):
    body = {"symbol": "KO", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1.00", "time_in_force": "gtc"}
    gateway.place_elsewhere(**body, client_order_id="elsewhere")

    async def attempt():
        async with gateway.session() as session:
            found = await session.find_order("elsewhere")
            with pytest.raises(BrokerCallError) as caught:
                await session.cancel_order(found.broker_order_id)
            return caught.value, await session.find_order("elsewhere")

    error, order = asyncio.run(attempt())

    assert (error.kind, error.code) == (FailureKind.REJECTED, "BROKER_ORDER_NOT_CANCELABLE")
    assert order.status is ReportedStatus.WORKING


@pytest.mark.parametrize("data_lost", [False, True])
def test_a_gateway_without_its_link_takes_no_orders_and_gives_no_news_of_them(gateway, terms, data_lost):
    async def body():
        async with gateway.session() as session:
            await session.submit_order(f"st-linked-{data_lost}", terms)
            gateway.fault("ib_link_down", data_lost=data_lost)
            await asyncio.sleep(0.1)
            errors = []
            for call in (
                session.submit_order(f"st-unlinked-{data_lost}", terms),
                session.find_order(f"st-linked-{data_lost}"),
            ):
                with pytest.raises(BrokerCallError) as caught:
                    await call
                errors.append(caught.value)
            gateway.clear()
            await asyncio.sleep(0.1)
            return errors, await session.submit_order(f"st-relinked-{data_lost}", terms)

    errors, report = asyncio.run(body())

    assert {(error.kind, error.code) for error in errors} == {(FailureKind.TRANSIENT, "BROKER_UNAVAILABLE")}
    assert report.status is ReportedStatus.WORKING
    assert gateway.ledger().posts_seen[f"st-unlinked-{data_lost}"] == 0


def test_a_lost_link_ends_the_stream_and_keeps_it_out(gateway):
    async def body():
        async with gateway.session() as session:
            stream = session.stream_orders()
            await anext(stream)
            gateway.fault("ib_link_down")
            with pytest.raises(StreamLostError) as first:
                await _drain(stream)
            with pytest.raises(StreamLostError) as second:
                await anext(session.stream_orders())
            return first.value, second.value

    assert {error.code for error in asyncio.run(body())} == {"BROKER_UNAVAILABLE"}


@pytest.mark.parametrize(("kind", "parameters"), [("duplicate_fills", {"times": 2}), ("delay_fills", {"ms": 200})])
def test_fills_that_come_repeated_or_late_keep_their_identity(gateway, terms, kind, parameters):
    gateway.fault(kind, **parameters)

    async def body():
        async with gateway.session() as session:
            stream = session.stream_orders()
            await anext(stream)
            placed = await session.submit_order(f"st-{kind}", terms)
            gateway.counterpart.fill(placed.broker_order_id, Decimal(4))
            heard = []
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(heard) < 1 + parameters.get("times", 0):
                    event = await anext(stream)
                    if event is not None and event.fill is not None:
                        heard.append(event.fill)
            await stream.aclose()
            return heard, (await session.list_fills("")).fills

    heard, listed = asyncio.run(body())

    assert len({(fill.execution_id, fill.cumulative_quantity) for fill in heard}) == 1
    assert heard[0].execution_id in {fill.execution_id for fill in listed}


def test_the_stream_hears_of_orders_of_every_client(gateway, terms):
    async def body():
        async with gateway.session() as session, gateway.session() as other:
            stream = session.stream_orders()
            await anext(stream)
            await asyncio.gather(session.submit_order("st-mine", terms), other.submit_order("st-theirs", terms))
            heard = set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while heard < {"st-mine", "st-theirs"}:
                    event = await anext(stream)
                    heard |= {event.order.client_order_id} if event is not None else set()
            await stream.aclose()
            return heard

    assert asyncio.run(body()) >= {"st-mine", "st-theirs"}


def test_numbers_and_orders_survive_a_killed_gateway(tmp_path):
    options = ["--port", "0", "--ib-port", "0", "--ib-account", ACCOUNT, "--volatility", "0"]
    command = [sys.executable, "-m", "brokers.simulator", "--data-dir", str(tmp_path), *options]
    terms = OrderTerms("KO", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, quantity=Decimal(1), limit_price=Decimal(1))

    def run(body):
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
            try:
                read_address(process)
                address = read_address(process)
                return asyncio.run(body(IB.open_session(settings_for(f"{address}?{OPTIONS}"))))
            finally:
                process.send_signal(signal.SIGKILL)

    async def place(session):
        return await session.submit_order("st-before", terms)

    async def look(session):
        found = await session.find_order("st-before")
        second = await session.submit_order("st-after", terms)
        await session.cancel_order(found.broker_order_id)
        ended = await until(session, "st-before", ReportedStatus.CANCELED)
        await session.close()
        return found, second, ended

    placed = run(place)
    found, second, ended = run(look)

    assert found == placed
    assert second.broker_order_id != placed.broker_order_id
    assert ended.broker_order_id == placed.broker_order_id


async def _drain(stream):
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for _ in stream:
            continue
