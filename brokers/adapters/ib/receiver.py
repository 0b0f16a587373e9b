"""What comes in on one connection: sorted into answers, acknowledgements, and news for a listener.

The client library's own bookkeeping is left out on purpose: it turns error codes into order states and drops
messages that it cannot read. Here an error is kept beside the order it is about, and an unreadable message ends
the connection, because what it said may be the one thing that was asked for.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import UTC
from types import SimpleNamespace
from typing import Any

from ib_async.decoder import Decoder

from brokers.adapters.ib.errors import ApiError, GatewayError, OrderEndedError
from brokers.adapters.ib.known_orders import KnownOrder, OrderMemory, Submission
from brokers.adapters.ib.parsing import FINAL_STATUSES, UNCONFIRMED_STATUSES
from brokers.adapters.ib.rules import judge_code
from reliability.core.classification import Operation

LOST_LINK = frozenset({1100, 2110})
RESTORED_LINK = frozenset({1101, 1102})
CLIENT_ID_IN_USE = 326
CANCELED = 202
REFUSAL_GRACE_SECONDS = 0.5
COMMISSIONS_KEPT = 20_000
OPEN_ORDERS, COMPLETED_ORDERS, POSITIONS = "open orders", "completed orders", "positions"

Listener = Callable[[str, Any], None]


class StrictDecoder(Decoder):
    """Reads messages as the library does, and tells of those it cannot read instead of logging them."""

    def wrap(self, methodName: str, types: list[type], skip: int = 2) -> Callable[[list[str]], None]:  # noqa: N803
        """Return a reader that hands the fields after the first ``skip`` to a method, as the given types."""

        def read(fields: list[str]) -> None:
            method = getattr(self.wrapper, methodName, None)
            if method is None:
                return
            values = fields[skip:]
            if len(values) < len(types):
                raise ValueError(f"{methodName} with {len(values)} fields instead of {len(types)}")
            method(*(_convert(kind, value) for kind, value in zip(types, values, strict=False)))

        return read

    def interpret(self, fields: list[str]) -> None:
        self.wrapper.sign_of_life()
        try:
            handler = self.handlers.get(int(fields[0]))
            if handler is not None:
                handler(fields)
        except Exception as error:
            self.wrapper.unreadable(
                f"{type(error).__name__} in message {fields[0][:10] if fields else 'without fields'}"
            )


def _convert(kind: type, value: str) -> Any:
    if kind is str:
        return value
    return bool(int(value or 0)) if kind is bool else kind(value or 0)


class Receiver:
    """The callbacks of one connection; their names and arguments are the protocol's.

    ``lost`` resolves with the reason once nothing more will come. Waiting parties get a ``GatewayError`` then.
    """

    def __init__(self, client_id: int) -> None:
        self.client_id = client_id
        self.defaultTimezone = UTC
        self.ib = SimpleNamespace(TimezoneTWS="UTC")
        self.is_linked = True
        self.lost: asyncio.Future[GatewayError] = asyncio.get_running_loop().create_future()
        self.memory = OrderMemory()
        self.submissions: dict[int, Submission] = {}
        self.cancels: dict[int, set[asyncio.Future[None]]] = {}
        self.commissions: OrderedDict[str, Any] = OrderedDict()
        self.listener: Listener | None = None
        self.client_id_in_use = False
        self.heard_at = asyncio.get_running_loop().time()
        self._answers: dict[Hashable, tuple[asyncio.Future[list[Any]], list[Any]]] = {}

    # -- for those who wait ---------------------------------------------------------------

    def expect(self, key: Hashable) -> asyncio.Future[list[Any]]:
        """Return what will be the rows of the answer under ``key``: a request's number, or one of the lists."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._answers[key] = (future, [])
        return future

    def forget(self, key: Hashable) -> None:
        self._answers.pop(key, None)

    def end(self, reason: GatewayError) -> None:
        """Fail everything that waits; nothing more will come."""
        if self.lost.done():
            return
        self.lost.set_result(reason)
        waiting: list[asyncio.Future[Any]] = [future for future, _ in self._answers.values()]
        waiting += [submission.outcome for submission in self.submissions.values()]
        waiting += [future for futures in self.cancels.values() for future in futures]
        for future in waiting:
            if not future.done():
                future.set_exception(reason)
        self._tell("lost", reason)

    # -- the connection -------------------------------------------------------------------

    def sign_of_life(self) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        self._tell("alive", None)

    def unreadable(self, what: str) -> None:
        self.end(GatewayError("DATA_MALFORMED_REPLY", f"an unreadable message: {what}"))

    def connectAck(self) -> None: ...  # noqa: N802

    def setEventsDone(self) -> None:  # noqa: N802
        """Take note that the socket is closed; the library calls this in every case."""
        self.end(GatewayError("NETWORK_CONNECTION_LOST", "the gateway closed the connection"))

    def connectionClosed(self) -> None: ...  # noqa: N802

    def error(self, number: int, code: int, text: str, _advanced: str = "") -> None:
        """Sort an error message, which may be a warning, news about the link, or about one request or order."""
        if code == CLIENT_ID_IN_USE:
            self.client_id_in_use = True
        elif code in LOST_LINK:
            self._lose_link(code, text)
        elif code in RESTORED_LINK:
            self.is_linked = True
            self._tell("link restored", code)
        elif number in self.submissions or number in self.cancels:
            self._note_order_error(number, code, text)
        elif number in self._answers and not _is_notice(code, text):
            future, _ = self._answers.pop(number)
            if not future.done():
                future.set_exception(ApiError(code, text))

    def _lose_link(self, code: int, text: str) -> None:
        self.is_linked = False
        self._tell("link lost", GatewayError("BROKER_UNAVAILABLE", text, str(code)))

    # -- orders ---------------------------------------------------------------------------

    def openOrder(self, order_id: int, contract: Any, order: Any, state: Any) -> None:  # noqa: N802
        known = self.memory.find(order.permId) if order.permId > 0 else None
        if known is None:
            known = KnownOrder(order.permId, order.clientId, order_id, contract, order)
        known.contract, known.order, known.status = contract, order, state.status
        known.client_id, known.order_id = order.clientId, order_id
        if order.permId > 0:
            self.memory.put(known)
        self._add(OPEN_ORDERS, known)
        if order.clientId == self.client_id and order_id in self.submissions:
            self._acknowledge(order_id, known)
        self._tell("order", known)

    def orderStatus(  # noqa: N802
        self,
        order_id: int,
        status: str,
        filled: float,
        _remaining: float,
        average_price: float,
        perm_id: int,
        _parent_id: int,
        _last_price: float,
        client_id: int,
        _why_held: str,
        _cap_price: float,
    ) -> None:
        known = self.memory.find(perm_id)
        if known is not None:
            known.status, known.filled, known.average_price = status, filled, average_price
        if client_id == self.client_id:
            if order_id in self.submissions:
                submission = self.submissions[order_id]
                submission.status, submission.has_status = status, True
                self._settle_submission(order_id)
            if order_id in self.cancels:
                self._settle_cancel(order_id, status)
        if known is not None:
            self._tell("status", known)

    def openOrderEnd(self) -> None:  # noqa: N802
        future_and_rows = self._answers.get(OPEN_ORDERS)
        if future_and_rows is not None:
            unique = {id(known): known for known in future_and_rows[1]}
            self._finish(OPEN_ORDERS, list(unique.values()))

    def completedOrder(self, contract: Any, order: Any, state: Any) -> None:  # noqa: N802
        self._add(COMPLETED_ORDERS, (contract, order, state))

    def completedOrdersEnd(self) -> None:  # noqa: N802
        self._finish(COMPLETED_ORDERS)

    def _acknowledge(self, order_id: int, known: KnownOrder) -> None:
        submission = self.submissions[order_id]
        if known.order.orderRef != submission.client_order_id:
            if not submission.outcome.done():
                failure = GatewayError("DATA_WRONG_ORDER", "the acknowledgement is about another order")
                submission.outcome.set_exception(failure)
            return
        submission.known, submission.status = known, known.status
        self._settle_submission(order_id)

    def _settle_submission(self, order_id: int) -> None:
        """Decide a submission once its own order's messages allow it: taken, or ended with a reason."""
        submission = self.submissions[order_id]
        if submission.outcome.done():
            return
        known, status = submission.known, submission.status
        filled = known.filled if known is not None else 0.0
        if status in ("Inactive", "Cancelled", "ApiCancelled") and submission.error is not None and not filled:
            submission.outcome.set_exception(OrderEndedError(*submission.error))
        elif known is None or known.perm_id <= 0 or status in UNCONFIRMED_STATUSES or status == "Inactive":
            return
        elif submission.has_status or status not in FINAL_STATUSES:
            submission.outcome.set_result(known)

    def _settle_cancel(self, order_id: int, status: str) -> None:
        for future in self.cancels[order_id]:
            if future.done():
                continue
            if status in ("PendingCancel", "Cancelled", "ApiCancelled"):
                future.set_result(None)
            elif status in FINAL_STATUSES:
                future.set_exception(OrderEndedError(161, f"the order is {status}"))

    def _note_order_error(self, order_id: int, code: int, text: str) -> None:
        """Keep an error about an order until its status tells what it meant; without one, nothing is proven."""
        cancels = self.cancels.get(order_id, set())
        if code == CANCELED:
            for future in cancels:
                if not future.done():
                    future.set_result(None)
            return
        if _is_notice(code, text):
            return
        waiting: list[asyncio.Future[Any]] = list(cancels)
        if order_id in self.submissions:
            submission = self.submissions[order_id]
            submission.error = (code, text)
            waiting.append(submission.outcome)
            self._settle_submission(order_id)
        loop = asyncio.get_running_loop()
        for undecided in waiting:
            loop.call_later(REFUSAL_GRACE_SECONDS, _give_up, undecided, ApiError(code, text))

    # -- executions, positions, the account, contracts ------------------------------------

    def execDetails(self, request_id: int, contract: Any, execution: Any) -> None:  # noqa: N802
        if request_id in self._answers:
            self._add(request_id, (contract, execution))
        elif request_id < 0:
            self._tell("execution", (contract, execution))

    def execDetailsEnd(self, request_id: int) -> None:  # noqa: N802
        self._finish(request_id)

    def commissionReport(self, report: Any) -> None:  # noqa: N802
        """Keep what an execution cost: it comes in a message of its own, behind the execution."""
        self.commissions[report.execId] = report
        while len(self.commissions) > COMMISSIONS_KEPT:
            self.commissions.popitem(last=False)
        self._tell("commission", report)

    def position(self, account: str, contract: Any, quantity: float, average_cost: float) -> None:
        self._add(POSITIONS, (account, contract, quantity, average_cost))

    def positionEnd(self) -> None:  # noqa: N802
        self._finish(POSITIONS)

    def accountSummary(self, request_id: int, account: str, tag: str, value: str, currency: str) -> None:  # noqa: N802
        self._add(request_id, (account, tag, value, currency))

    def accountSummaryEnd(self, request_id: int) -> None:  # noqa: N802
        self._finish(request_id)

    def contractDetails(self, request_id: int, details: Any) -> None:  # noqa: N802
        self._add(request_id, details)

    def contractDetailsEnd(self, request_id: int) -> None:  # noqa: N802
        self._finish(request_id)

    # -- inside ---------------------------------------------------------------------------

    def _add(self, key: Hashable, row: Any) -> None:
        if key in self._answers:
            self._answers[key][1].append(row)

    def _finish(self, key: Hashable, rows: list[Any] | None = None) -> None:
        waiting = self._answers.pop(key, None)
        if waiting is not None and not waiting[0].done():
            waiting[0].set_result(waiting[1] if rows is None else rows)

    def _tell(self, what: str, value: Any) -> None:
        if self.listener is not None:
            self.listener(what, value)


def _is_notice(code: int, text: str) -> bool:
    """Return whether a message says that nothing failed."""
    verdict = judge_code(Operation.QUERY, code, text)
    return verdict is not None and verdict.code == "BROKER_NOTICE"


def _give_up(waiting: asyncio.Future[Any], failure: ApiError) -> None:
    if not waiting.done():
        waiting.set_exception(failure)
