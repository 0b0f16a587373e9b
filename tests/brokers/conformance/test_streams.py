"""What every adapter that streams orders makes of its stream."""

import asyncio
from decimal import Decimal

import pytest

from brokers.adapters.errors import StreamLostError
from brokers.core.reports import ReportedStatus
from brokers.core.streams import event_names, order_names
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def _streams_only(target):
    if not target.adapter.capabilities.streams_orders:
        pytest.skip("this broker has no order stream")


def test_the_subscription_is_confirmed_before_anything_else(with_session):
    async def body(session):
        stream = session.stream_orders()
        first = await asyncio.wait_for(anext(stream), PATIENCE_SECONDS)
        await stream.aclose()
        return first

    assert with_session(body) is None


def test_an_order_is_followed_from_its_placing_to_its_fills(with_session, counterpart, client_order_id):
    async def body(session):
        stream = session.stream_orders()
        await anext(stream)
        placed = await session.submit_order(client_order_id, counterpart.resting_terms())
        counterpart.fill(placed.broker_order_id, Decimal("1.5"))
        counterpart.fill(placed.broker_order_id, Decimal("2.5"))
        events = await _events_of(stream, client_order_id)
        await stream.aclose()
        return events

    events = with_session(body)

    told = {event.fill.execution_id: event.fill for event in events if event.fill}  # again, once its fee is known
    fills = list(told.values())
    assert [fill.quantity for fill in fills] == [Decimal("1.5"), Decimal("2.5")]
    assert [fill.cumulative_quantity for fill in fills] == [Decimal("1.5"), Decimal(4)]
    assert [event.order for event in events if event.order][-1].status is ReportedStatus.FILLED


def test_an_order_that_only_waits_is_told_by_a_name_that_its_reply_had(with_session, counterpart, client_order_id):
    """A stream that does not tell of it is taken for mute."""

    async def body(session):
        stream = session.stream_orders()
        await anext(stream)
        placed = await session.submit_order(client_order_id, counterpart.resting_terms())
        wanted = order_names(client_order_id, placed.broker_order_id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in stream:
                if event is not None and any(not wanted.isdisjoint(names) for names in event_names(event)):
                    break
        await stream.aclose()

    with_session(body)


def test_a_quiet_stream_keeps_showing_signs_of_life(with_session):
    async def body(session):
        stream = session.stream_orders()
        seen = [await asyncio.wait_for(anext(stream), PATIENCE_SECONDS) for _ in range(6)]
        await stream.aclose()
        return seen

    assert with_session(body) == [None] * 6


def test_silence_is_noticed(with_session, counterpart):
    async def body(session):
        stream = session.stream_orders()
        await anext(stream)
        await anext(stream)
        counterpart.freeze()
        with pytest.raises(StreamLostError) as caught:
            await _drain(stream)
        return caught.value

    error = with_session(body, silence_timeout_seconds=0.75)

    assert error.code == "NETWORK_STREAM_SILENT"


def test_what_a_living_stream_loses_is_still_found_by_asking(with_session, counterpart, client_order_id):
    async def body(session):
        stream = session.stream_orders()
        await anext(stream)
        counterpart.lose_stream_events()
        placed = await session.submit_order(client_order_id, counterpart.resting_terms())
        counterpart.fill(placed.broker_order_id, Decimal(4))
        seen = [await anext(stream) for _ in range(3)]
        await stream.aclose()
        return seen, await session.find_order(client_order_id, placed.symbol)

    seen, order = with_session(body)

    assert seen == [None] * 3
    assert order.status is ReportedStatus.FILLED


def test_a_slow_consumer_is_not_mistaken_for_a_silent_broker(with_session):
    async def body(session):
        stream = session.stream_orders()
        for _ in range(3):
            assert await anext(stream) is None
            await asyncio.sleep(1.0)
        await stream.aclose()

    with_session(body)


def test_a_cut_connection_is_told_from_silence(with_session, counterpart):
    async def body(session):
        stream = session.stream_orders()
        await anext(stream)
        counterpart.cut_streams()
        with pytest.raises(StreamLostError) as caught:
            await _drain(stream)
        return caught.value

    error = with_session(body)

    assert error.code == "NETWORK_CONNECTION_LOST"


def test_wrong_credentials_are_told_from_a_lost_connection(with_session):
    error = _refused(with_session, credentials={"api_key": "PKWRONG", "api_secret": "wrong"})

    assert error.code == "AUTH_INVALID_CREDENTIALS"


def test_a_stream_that_is_not_there_says_so(with_session):
    error = _refused(with_session, stream_url="ws://127.0.0.1:1/stream")

    assert error.code == "NETWORK_CONNECT_REFUSED"


def test_leaving_the_stream_early_frees_it(with_session):
    async def body(session):
        for _ in range(5):
            stream = session.stream_orders()
            await anext(stream)
            listening = asyncio.create_task(_drain(stream))
            await asyncio.sleep(0.05)
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening
        return await session.get_account()

    assert with_session(body).currency == "USD"


def _refused(with_session, **settings):
    async def body(session):
        with pytest.raises(StreamLostError) as caught:
            await anext(session.stream_orders())
        return caught.value

    return with_session(body, **settings)


async def _drain(stream):
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for _ in stream:
            continue


async def _events_of(stream, client_order_id):
    events = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for event in stream:
            if event is not None and event.order.client_order_id == client_order_id:
                events.append(event)
                if event.order.status is ReportedStatus.FILLED:
                    break
    return events
