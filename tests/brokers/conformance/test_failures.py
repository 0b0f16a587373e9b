"""What every adapter makes of each trouble: refused, not carried out, told to wait, or unknown."""

import asyncio
import traceback
from contextlib import suppress

import pytest

from brokers.adapters.errors import BrokerCallError
from brokers.core.reports import ReportedStatus
from reliability.core.taxonomy import FailureKind
from tests.brokers.conformance.counterpart import Trouble
from tests.patience import PATIENCE_SECONDS

UNKNOWN_OUTCOME = [
    Trouble.REPLY_LOST,
    Trouble.REQUEST_LOST,
    Trouble.HANGING,
    Trouble.SERVER_ERROR,
    Trouble.UNAVAILABLE_PAGE,
    Trouble.GATEWAY_TIMEOUT_PAGE,
    Trouble.PROXY_SUCCESS_PAGE,
    Trouble.PROXY_REFUSAL_PAGE,
    Trouble.PROXY_NOT_FOUND_PAGE,
    Trouble.ERROR_IN_SUCCESS,
    Trouble.EMPTY_SUCCESS,
    Trouble.MALFORMED,
    Trouble.TRUNCATED,
    Trouble.MISSING_FIELDS,
    Trouble.OTHER_ORDER,
    Trouble.ECHOED_CREDENTIALS,
]
# A cancel has no content to be wrong; a list cannot tell whose order is missing from it.
NOT_FOR_CANCELS = {Trouble.MALFORMED, Trouble.TRUNCATED, Trouble.MISSING_FIELDS, Trouble.OTHER_ORDER}
CERTAIN = {
    Trouble.THROTTLED: FailureKind.THROTTLED,
    Trouble.LOGIN_REFUSED: FailureKind.TRANSIENT,
    Trouble.INSUFFICIENT_FUNDS: FailureKind.REJECTED,
}
QUERIES = {
    "find_order": lambda session, order: session.find_order(order.client_order_id, order.symbol),
    "get_order": lambda session, order: session.get_order(order.broker_order_id),
    "list_open_orders": lambda session, order: session.list_open_orders(),
    "list_fills": lambda session, order: session.list_fills(""),
    "list_positions": lambda session, order: session.list_positions(),
    "get_account": lambda session, order: session.get_account(),
    "list_instruments": lambda session, order: session.list_instruments(),
}


@pytest.mark.parametrize("trouble", UNKNOWN_OUTCOME, ids=lambda trouble: trouble.name)
def test_a_submission_without_a_trustworthy_reply_is_unknown_and_sent_once(
    with_session, target, counterpart, client_order_id, trouble
):
    _require(trouble, target.submit_troubles)
    counterpart.make_trouble(trouble)

    error = _fails(
        with_session,
        lambda session: session.submit_order(client_order_id, counterpart.resting_terms()),
        **_patience(target, trouble),
    )

    assert error.kind is FailureKind.AMBIGUOUS
    assert counterpart.count_submissions(client_order_id) == 1


@pytest.mark.parametrize(("trouble", "kind"), CERTAIN.items(), ids=lambda value: value.name)
def test_a_submission_that_was_certainly_not_carried_out_is_not_called_unknown(
    with_session, target, counterpart, client_order_id, trouble, kind
):
    _require(trouble, target.submit_troubles)
    counterpart.make_trouble(trouble)

    error = _fails(
        with_session,
        lambda session: session.submit_order(client_order_id, counterpart.resting_terms()),
        **_patience(target, trouble),
    )

    assert error.kind is kind
    assert (error.retry_after_seconds == 3) is (trouble is Trouble.THROTTLED)
    assert counterpart.count_submissions(client_order_id) == 1


@pytest.mark.parametrize("trouble", [*CERTAIN, *UNKNOWN_OUTCOME], ids=lambda trouble: trouble.name)
def test_a_cancel_is_unknown_under_the_same_troubles(with_session, target, counterpart, client_order_id, trouble):
    _require(trouble, target.cancel_troubles)
    if trouble in NOT_FOR_CANCELS:
        pytest.skip("a cancel is confirmed without content")

    async def body(session):
        placed = await _place(session, counterpart, client_order_id)
        counterpart.make_trouble(trouble)
        with pytest.raises(BrokerCallError) as caught:
            await session.cancel_order(placed.broker_order_id)
        return caught.value

    assert with_session(body, **_patience(target, trouble)).kind is CERTAIN.get(trouble, FailureKind.AMBIGUOUS)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("trouble", UNKNOWN_OUTCOME, ids=lambda trouble: trouble.name)
def test_a_failed_query_is_no_information(with_session, target, counterpart, client_order_id, query, trouble):
    _require(trouble, target.query_troubles)
    if query == "list_instruments" and not target.lists_instruments:
        pytest.skip("this broker has no list of instruments")
    if trouble is Trouble.OTHER_ORDER and query not in ("find_order", "get_order"):
        pytest.skip("only a reply about one order can be about the wrong one")
    if trouble is Trouble.MISSING_FIELDS and query == "list_instruments":
        pytest.skip("instruments have none of the missing fields")

    async def body(session):
        placed = await _place(session, counterpart, client_order_id)
        counterpart.fill(placed.broker_order_id, placed.quantity / 4)
        counterpart.make_trouble(trouble)
        with pytest.raises(BrokerCallError) as caught:
            await QUERIES[query](session, placed)
        return caught.value

    assert with_session(body, **_patience(target, trouble)).kind is FailureKind.TRANSIENT


def test_a_call_that_is_never_answered_ends_by_itself(with_session, counterpart, client_order_id):
    counterpart.make_trouble(Trouble.HANGING)

    async def body(session):
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(BrokerCallError) as caught:
                await session.submit_order(client_order_id, counterpart.resting_terms())
        return caught.value

    error = with_session(body, call_timeout_seconds=1.0)

    assert (error.kind, error.code) == (FailureKind.AMBIGUOUS, "TIMEOUT_READ")
    assert counterpart.count_submissions(client_order_id) == 1


def test_every_call_to_a_frozen_broker_ends_by_itself(with_session, counterpart, client_order_id):
    async def body(session):
        await _place(session, counterpart, f"{client_order_id[:24]}-ahead")
        counterpart.freeze()
        calls = [session.submit_order(client_order_id, counterpart.resting_terms()), session.get_account()]
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await asyncio.gather(*calls, return_exceptions=True)

    submission, query = with_session(body, call_timeout_seconds=1.0)

    assert (submission.kind, query.kind) == (FailureKind.AMBIGUOUS, FailureKind.TRANSIENT)


def test_a_broker_that_is_not_there_was_provably_not_reached(with_session, counterpart, client_order_id):
    error = _fails(
        with_session,
        lambda session: session.submit_order(client_order_id, counterpart.resting_terms()),
        base_url="http://127.0.0.1:1",
    )

    assert (error.kind, error.code) == (FailureKind.TRANSIENT, "NETWORK_CONNECT_REFUSED")


def test_a_canceled_call_stays_canceled_and_leaves_the_session_usable(with_session, counterpart, client_order_id):
    async def body(session):
        counterpart.make_trouble(Trouble.HANGING)
        call = asyncio.create_task(session.submit_order(client_order_id, counterpart.resting_terms()))
        while not await asyncio.to_thread(counterpart.count_submissions, client_order_id):  # noqa: ASYNC110  # a poll
            await asyncio.sleep(0.02)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        counterpart.clear_trouble()
        return await session.find_order(client_order_id, counterpart.resting_terms().symbol)

    assert with_session(body).status is ReportedStatus.WORKING
    assert counterpart.count_submissions(client_order_id) == 1


def test_a_closed_session_sends_nothing(with_session, counterpart, client_order_id):
    async def body(session):
        await session.close()
        with pytest.raises(BrokerCallError) as caught:
            await session.submit_order(client_order_id, counterpart.resting_terms())
        return caught.value

    assert with_session(body).kind is FailureKind.TRANSIENT
    assert counterpart.count_submissions(client_order_id) == 0


@pytest.mark.parametrize("trouble", Trouble, ids=lambda trouble: trouble.name)
def test_no_error_gives_away_the_credentials(with_session, target, counterpart, client_order_id, trouble):
    _require(trouble, target.submit_troubles)
    counterpart.make_trouble(trouble)

    error = _fails(
        with_session,
        lambda session: session.submit_order(client_order_id, counterpart.resting_terms()),
        **_patience(target, trouble),
    )

    shown = "".join(traceback.format_exception(error)) + "".join(map(repr, _chain(error)))
    for secret in counterpart.settings.credentials.values():
        assert secret not in shown
    assert len(error.message) <= 500


def _require(trouble, possible):
    if trouble not in possible:
        pytest.skip("this wire does not have this trouble")


def _patience(target, trouble):
    """Return shorter timeouts where one is waited for, and leave the long ones to a busy machine elsewhere."""
    return {"call_timeout_seconds": 1.0} if trouble in target.silent else {}


def _fails(with_session, call, **settings):
    with pytest.raises(BrokerCallError) as caught:
        with_session(call, **settings)
    return caught.value


async def _place(session, counterpart, client_order_id):
    """Place a resting order; where the session's patience is short for a busy machine, its answer is asked for."""
    terms = counterpart.resting_terms()
    async with asyncio.timeout(PATIENCE_SECONDS):
        with suppress(BrokerCallError):
            return await session.submit_order(client_order_id, terms)
        while True:
            with suppress(BrokerCallError):
                found = await session.find_order(client_order_id, terms.symbol)
                if found is not None:
                    return found


def _chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
