"""A broker session whose failures are reviewed: rules that people confirmed decide first, what nobody knows is noted.

An adapter judges its own failures, because it knows best what they prove. A person who looked at one knows
better: a rule of the source decides before the adapter does, in every process within seconds. A failure that
the adapter had no rule for is counted as a guess, for people to look at. Failures of our own, which no broker
and no connection had a part in, have no raw code and are left alone.
"""

from collections.abc import AsyncGenerator, Awaitable
from dataclasses import replace
from datetime import date
from typing import TypeVar

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.interface import BrokerSession
from brokers.core.orders import OrderTerms
from brokers.core.reports import (
    AccountReport,
    CashReport,
    FillPage,
    InstrumentReport,
    OrderPage,
    OrderReport,
    PositionReport,
    StreamEvent,
)
from reliability.core.classification import ClassifiedError, Operation, Proof, RawFailure
from reliability.core.taxonomy import ErrorCategory, FailureKind
from reliability.services.classification import classify_confirmed, preview, tell_guess

SHAPE_ALONE = 0.5
"""The confidence of a judgement by the shape of an answer, at most."""

_R = TypeVar("_R")


async def reviewed(source: str, operation: Operation, call: Awaitable[_R]) -> _R:
    """Return what ``call`` brings; its ``BrokerCallError`` is raised as a person's rule wants it, or noted."""
    try:
        return await call
    except BrokerCallError as error:
        failure = review(source, operation, error)
        if failure is error:
            raise
    raise failure


def review(source: str, operation: Operation, error: BrokerCallError) -> BrokerCallError:
    """Return ``error`` as a confirmed rule of ``source`` judges it, or as it is, noted as a guess if nobody knew it."""
    if not error.raw_code:
        return error
    raw = RawFailure(source, operation, error.raw_code, error.message)
    confirmed = classify_confirmed(raw)
    if confirmed is not None:
        kind, wait = kind_of(confirmed), error.retry_after_seconds
        return BrokerCallError(kind, confirmed.code, error.message, error.raw_code, wait, rule=confirmed.rule)
    if error.unexplained:
        tell_guess(_as_guess(error, raw))
    return error


def kind_of(error: ClassifiedError) -> FailureKind:
    """Return what a classification proves of a call; as adapters say it, a query that proves nothing is transient."""
    if not error.ambiguous and error.proof in (Proof.UNPROVEN, Proof.EXISTS):
        is_throttled = error.category is ErrorCategory.RATE_LIMIT
        return FailureKind.THROTTLED if is_throttled else FailureKind.TRANSIENT
    return error.kind


def _as_guess(error: BrokerCallError, raw: RawFailure) -> ClassifiedError:
    """Return the adapter's judgement as the guess it is; a proof is claimed only where the features give it too."""
    features = preview(raw)
    return replace(
        error.classified(raw.source, raw.operation),
        guessed=True,
        confidence=min(features.confidence, SHAPE_ALONE),
        proof=Proof.UNPROVEN if error.kind is FailureKind.AMBIGUOUS else features.proof,
    )


class ReviewedSession:
    """See ``BrokerSession`` for what each method promises; ``source`` is the one that rules of its failures name."""

    def __init__(self, session: BrokerSession, source: str) -> None:
        self._session = session
        self._source = source

    async def submit_order(self, client_order_id: str, terms: OrderTerms, correlation_id: str = "") -> OrderReport:
        call = self._session.submit_order(client_order_id, terms, correlation_id)
        return await reviewed(self._source, Operation.SUBMIT, call)

    async def cancel_order(self, broker_order_id: str) -> None:
        return await reviewed(self._source, Operation.CANCEL, self._session.cancel_order(broker_order_id))

    async def replace_order(self, broker_order_id: str, client_order_id: str, terms: OrderTerms) -> OrderReport:
        call = self._session.replace_order(broker_order_id, client_order_id, terms)
        return await reviewed(self._source, Operation.MODIFY, call)

    async def get_order(self, broker_order_id: str) -> OrderReport:
        return await self._asked(self._session.get_order(broker_order_id))

    async def find_order(self, client_order_id: str, symbol: str = "") -> OrderReport | None:
        return await self._asked(self._session.find_order(client_order_id, symbol))

    async def list_open_orders(self) -> list[OrderReport]:
        return await self._asked(self._session.list_open_orders())

    async def page_open_orders(self, after: str) -> OrderPage:
        return await self._asked(self._session.page_open_orders(after))

    async def page_fills(self, cursor: str) -> FillPage:
        return await self._asked(self._session.page_fills(cursor))

    async def list_fills(self, cursor: str) -> FillPage:
        return await self._asked(self._session.list_fills(cursor))

    async def list_positions(self) -> list[PositionReport]:
        return await self._asked(self._session.list_positions())

    async def get_account(self) -> AccountReport:
        return await self._asked(self._session.get_account())

    async def list_cash_movements(self, since: date) -> list[CashReport]:
        return await self._asked(self._session.list_cash_movements(since))

    async def list_instruments(self) -> list[InstrumentReport]:
        return await self._asked(self._session.list_instruments())

    def stream_orders(self) -> AsyncGenerator[StreamEvent | None, None]:
        """A stream has a watch of its own."""
        return self._session.stream_orders()

    async def close(self) -> None:
        await self._session.close()

    async def _asked(self, call: Awaitable[_R]) -> _R:
        return await reviewed(self._source, Operation.QUERY, call)
