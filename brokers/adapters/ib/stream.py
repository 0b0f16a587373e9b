"""The order stream: a connection as the master client, with a clock of its own for silence.

The gateway tells the master client of every order and execution, and says nothing while nothing happens; so it is
asked for the time, which it answers at once. The API has no sequence numbers and no replay: what cannot be
read, and a gateway that lost its link, end the stream, so that the caller takes a snapshot again.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from brokers.adapters.errors import BrokerCallError, StreamLostError
from brokers.adapters.ib import parsing
from brokers.adapters.ib.address import Address, read_account_number, read_address
from brokers.adapters.ib.connection import GatewayConnection, connect
from brokers.adapters.ib.errors import ClientIdInUseError, GatewayError, connect_error, stream_error
from brokers.adapters.ib.known_orders import KnownOrder
from brokers.adapters.ib.parsing import ParseError
from brokers.adapters.ib.sessions import check_account
from brokers.adapters.interface import AccountSettings
from brokers.core.reports import OrderReport, ReportedStatus, StreamEvent

PROBE_INTERVAL_SECONDS = 0.25
ID_WAIT_SECONDS = 0.1
QUEUE_LIMIT = 50_000
EXECUTIONS_KEPT = 1000


async def stream_orders(settings: AccountSettings) -> AsyncGenerator[StreamEvent | None, None]:
    """Log on, learn the open orders, then yield events; see ``BrokerSession.stream_orders``."""
    try:
        connection, account = await _log_on(settings)
    except BrokerCallError as error:
        raise stream_error(error) from None
    try:
        await _learn_open_orders(connection, settings.call_timeout_seconds)
        news = _News(connection, account, settings.silence_timeout_seconds)
        yield None
        while True:
            yield await news.next_event()
    finally:
        connection.close()


async def _log_on(settings: AccountSettings) -> tuple[GatewayConnection, str]:
    """Return a connection as the master client; whoever holds the id may be about to leave, so it is tried again."""
    address: Address = read_address(settings, settings.stream_url or settings.base_url)
    wanted = read_account_number(settings)
    give_up_at = asyncio.get_running_loop().time() + settings.call_timeout_seconds
    while True:
        try:
            connection = await connect(address, address.master_client_id, settings.connect_timeout_seconds)
            return connection, check_account(settings, connection, wanted)
        except ClientIdInUseError as error:
            if asyncio.get_running_loop().time() >= give_up_at:
                raise connect_error(error) from None
            await asyncio.sleep(ID_WAIT_SECONDS)


async def _learn_open_orders(connection: GatewayConnection, seconds: float) -> None:
    """Ask for the open orders, whose terms later messages do not repeat."""
    try:
        async with asyncio.timeout(seconds):
            await connection.open_orders(seconds)
    except TimeoutError:
        raise StreamLostError("TIMEOUT_READ", f"no list of open orders within {seconds:g} s") from None
    except (GatewayError, BrokerCallError) as error:
        raise StreamLostError(error.code, error.message) from None
    if not connection.received.is_linked:
        raise StreamLostError("BROKER_UNAVAILABLE", "the gateway has lost its link to Interactive Brokers")


class _News:
    """What arrives, in order, and a count of the intervals in which nothing does.

    Silence is counted while waiting only: time spent by the consumer, or a stalled event loop, counts as
    one interval at most, so that our own slowness is not taken for the gateway's.
    """

    def __init__(self, connection: GatewayConnection, account: str, silence_timeout_seconds: float) -> None:
        self._connection = connection
        self._account = account
        self._silence_timeout_seconds = silence_timeout_seconds
        self._interval = min(PROBE_INTERVAL_SECONDS, silence_timeout_seconds / 3)
        self._allowed = math.ceil(silence_timeout_seconds / self._interval - 1e-9)
        self._executions: OrderedDict[str, tuple[Any, Any]] = OrderedDict()
        self._queue: asyncio.Queue[StreamEvent | StreamLostError | None] = asyncio.Queue()
        connection.received.listener = self._hear

    async def next_event(self) -> StreamEvent | None:
        """Return the next event, or ``None`` for a sign of life; raises ``StreamLostError`` after long silence."""
        for _ in range(self._allowed):
            try:
                async with asyncio.timeout(self._interval):
                    item = await self._queue.get()
            except TimeoutError:
                self._probe()
                continue
            if isinstance(item, StreamLostError):
                raise item
            return item
        raise StreamLostError("NETWORK_STREAM_SILENT", f"no sign of life for {self._silence_timeout_seconds} s")

    def _probe(self) -> None:
        try:
            self._connection.probe()
        except BrokerCallError as error:
            raise stream_error(error) from None

    def _hear(self, what: str, value: Any) -> None:
        if self._queue.qsize() >= QUEUE_LIMIT:
            self._connection.close()
            return
        try:
            item = self._read(what, value)
        except ParseError as error:
            item = StreamLostError("DATA_MALFORMED_REPLY", str(error))
        if item is not None or (what == "alive" and self._queue.empty()):
            self._queue.put_nowait(item)

    def _read(self, what: str, value: Any) -> StreamEvent | StreamLostError | None:
        if what in ("lost", "link lost"):
            return StreamLostError(value.code, value.message)
        if what == "status" and value.order.account in ("", self._account):
            return StreamEvent(value.status, parsing.open_order_report(value))
        if what == "execution" and value[1].acctNumber == self._account:
            self._executions[value[1].execId] = value
            if len(self._executions) > EXECUTIONS_KEPT:
                self._executions.popitem(last=False)
            return self._execution(*value)
        if what == "commission" and value.execId in self._executions:
            return self._execution(*self._executions.pop(value.execId), value)
        return None

    def _execution(self, contract: Any, execution: Any, commission: Any = None) -> StreamEvent:
        """Return an execution; it is told again once what it cost is known."""
        fill = parsing.fill_report(contract, execution, commission)
        known = self._connection.received.memory.find(execution.permId)
        order = parsing.executed_order_report([fill]) if known is None else _filled(known, fill.cumulative_quantity)
        return StreamEvent("execution", order, fill)


def _filled(known: KnownOrder, cumulative: Any) -> OrderReport:
    """Return the order as an execution leaves it; the status message that says so may come later."""
    report = parsing.open_order_report(known)
    filled = max(report.filled_quantity, cumulative)
    if report.status is ReportedStatus.WORKING:
        report = replace(report, status=ReportedStatus.PARTIALLY_FILLED)
    if report.quantity is not None and filled >= report.quantity:
        report = replace(report, status=ReportedStatus.FILLED)
    return replace(report, filled_quantity=filled)
