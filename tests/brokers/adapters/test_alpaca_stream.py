"""The order stream, frame by frame."""

import asyncio
import json

import pytest

from brokers.adapters.alpaca.client import ALPACA
from brokers.adapters.errors import StreamLostError
from tests.brokers.adapters.alpaca_contract import order_examples
from tests.brokers.adapters.scripted_server import confirm, settings_for, stream_server
from tests.patience import PATIENCE_SECONDS

EXAMPLES = order_examples()
ORDER = EXAMPLES["/components/examples/EquityOrderResponse/value"]
MULTI_LEG = next(order for order in EXAMPLES.values() if order["order_class"] == "mleg" and not order["symbol"])


def _update(**data):
    return json.dumps({"stream": "trade_updates", "data": {"event": "new", "order": ORDER, **data}})


def _listen(speech, count):
    """Return the first ``count`` yields of a stream, and the error that ended it earlier."""

    async def run():
        async with stream_server(speech) as port:
            session = ALPACA.open_session(settings_for(port))
            stream = session.stream_orders()
            seen = []
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while len(seen) < count:
                        seen.append(await anext(stream))
            except StreamLostError as error:
                return seen, error
            finally:
                await stream.aclose()
                await session.close()
            return seen, None

    return asyncio.run(run())


@pytest.mark.parametrize("is_binary", [True, False])
def test_text_and_binary_frames_are_both_read(is_binary):
    async def speech(connection):
        await confirm(connection)
        await (connection.send_bytes(_update().encode()) if is_binary else connection.send_str(_update()))

    (confirmed, event), error = _listen(speech, 2)

    assert (confirmed, error) == (None, None)
    assert event.order.broker_order_id == ORDER["id"]


def test_an_update_ahead_of_the_confirmation_is_kept_for_after_it():
    async def speech(connection):
        await connection.send_str(_update(event="early"))
        await confirm(connection)
        await connection.send_str(_update(event="late"))

    (confirmed, early, late), _ = _listen(speech, 3)

    assert confirmed is None
    assert (early.name, late.name) == ("early", "late")


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[]",
        "not json",
        "{}",
        '{"stream": "trade_updates"}',
        '{"stream": "trade_updates", "data": null}',
        '{"stream": "trade_updates", "data": {"event": "new", "order": null}}',
        json.dumps({"stream": "trade_updates", "data": {"event": "new", "order": {**ORDER, "status": "shipped"}}}),
    ],
)
def test_a_message_that_cannot_be_read_ends_the_stream_so_that_nothing_is_missed(text):
    async def speech(connection):
        await confirm(connection)
        await connection.send_str(text)

    seen, error = _listen(speech, 2)

    assert (seen, error.code) == ([None], "DATA_MALFORMED_REPLY")


def test_other_streams_and_orders_of_several_legs_are_signs_of_life():
    async def speech(connection):
        await confirm(connection)
        await connection.send_str('{"stream": "account_updates", "data": {}}')
        await connection.send_str(_update(order=MULTI_LEG))
        await connection.send_str(_update())

    (_, first, second, third), _ = _listen(speech, 4)

    assert (first, second) == (None, None)
    assert third is not None


def test_a_stream_that_does_not_grant_updates_is_refused():
    async def speech(connection):
        await connection.send_str('{"stream": "listening", "data": {"streams": []}}')

    assert _listen(speech, 1)[1].code == "AUTH_FORBIDDEN"


def test_an_error_reported_by_the_broker_ends_the_stream():
    async def speech(connection):
        await confirm(connection)
        await connection.send_str('{"action": "error", "data": {"error_message": "internal error"}}')

    assert _listen(speech, 2)[1].code == "BROKER_STREAM_REFUSED"


def test_a_login_without_an_answer_ends_in_time():
    async def speech(connection):
        await asyncio.sleep(0.01)

    assert _listen(speech, 1)[1].code == "TIMEOUT_READ"


def test_a_close_by_the_broker_ends_the_stream():
    async def speech(connection):
        await confirm(connection)
        await connection.close()

    assert _listen(speech, 3)[1].code == "NETWORK_CONNECTION_LOST"


def test_a_ping_of_the_broker_is_a_sign_of_life_and_is_answered():
    async def speech(connection):
        await confirm(connection)
        await connection.ping()

    assert _listen(speech, 2) == ([None, None], None)
