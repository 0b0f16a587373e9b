"""One socket with a gateway, logged on as one API client, inside the running event loop."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from ib_async.client import Client
from ib_async.objects import ExecutionFilter

from brokers.adapters.ib import errors, receiver
from brokers.adapters.ib.address import Address
from brokers.adapters.ib.errors import ClientIdInUseError, ExitRefusedError, GatewayError, OrderEndedError
from brokers.adapters.ib.known_orders import KnownOrder, Submission
from brokers.adapters.ib.pacing import Pace
from brokers.adapters.ib.parsing import LEDGER_TAG, SUMMARY_TAGS
from brokers.adapters.ib.receiver import Receiver, StrictDecoder
from brokers.adapters.reach import resolve_allowed

# The library logs each failed connection and each error message; both are recorded by whoever called, once.
logging.getLogger("ib_async").setLevel(logging.CRITICAL)


class GatewayConnection:
    """A logged-on API client. Made by ``connect``, and of no more use once it is lost."""

    def __init__(self, address: Address, client_id: int) -> None:
        self.client_id = client_id
        self.received = Receiver(client_id)
        self._address = address
        self._pace = Pace(address.messages_per_second)
        self._client: Any = Client(self.received)
        self._client.decoder = StrictDecoder(self.received, 0)
        self._client.MaxRequests = 0  # its throttle queues messages beyond our reach; ``Pace`` does not
        self._is_closed = False
        self._lists: dict[str, asyncio.Task[list[Any]]] = {}
        self._list_locks: dict[str, asyncio.Lock] = {}

    @property
    def is_usable(self) -> bool:
        return bool(self._client.isReady()) and not self.received.lost.done()

    @property
    def accounts(self) -> list[str]:
        return list(self._client.getAccounts())

    async def open(self, timeout_seconds: float) -> None:
        """Log on; raises ``ClientIdInUseError``, ``GatewayError``, ``OSError`` or ``TimeoutError``."""
        address = self._address
        host = await resolve_allowed(address.host, address.port, address.private_networks)
        logging_on = asyncio.ensure_future(
            self._client.connectAsync(host, address.port, self.client_id, timeout_seconds)
        )
        try:
            await asyncio.wait({logging_on, self.received.lost}, return_when=asyncio.FIRST_COMPLETED)
            if self.received.client_id_in_use:
                raise ClientIdInUseError(self.client_id)
            if logging_on.done():
                await logging_on
            if self.received.lost.done():
                raise self.received.lost.result()
        except BaseException:
            await _let_go(logging_on)
            self.close()
            raise
        self.received.lost.add_done_callback(lambda _: self.close())

    def close(self) -> None:
        """Leave; whatever waits fails as a lost connection."""
        if not self._is_closed:
            self._is_closed = True
            self.received.end(GatewayError("NETWORK_CONNECTION_LOST", "the connection was closed on our side"))
            self._client.disconnect()

    # -- what is asked --------------------------------------------------------------------

    async def place(
        self, contract: Any, orders: Sequence[Any], patience_seconds: float, sent: Callable[[], None]
    ) -> list[KnownOrder]:
        """Place an order and its exits, and wait until all are acknowledged; ``sent`` is called as the first leaves.

        The gateway keeps them back until the last one is there, so that it has all of them or none.

        Raises ``OrderEndedError`` when the order's own status and an error say that it ended unfilled,
        ``ExitRefusedError`` when it was taken and an exit was not, and ``ApiError`` or ``GatewayError`` when nothing
        is proven.
        """
        for _ in orders:
            await self._take_turn(patience_seconds)
        numbers = [self._number() for _ in orders]
        loop = asyncio.get_running_loop()
        outcomes = [loop.create_future() for _ in orders]
        for number, order, outcome in zip(numbers, orders, outcomes, strict=True):
            self.received.submissions[number] = Submission(order.orderRef, outcome)
        try:
            for number, order in zip(numbers, orders, strict=True):
                order.parentId, order.transmit = (0 if number == numbers[0] else numbers[0]), number == numbers[-1]
                self._send(self._client.placeOrder, number, contract, order)
                sent()
            entry: KnownOrder = await outcomes[0]
            return [entry, *await self._exits(entry, outcomes[1:])]
        finally:
            for number, outcome in zip(numbers, outcomes, strict=True):
                del self.received.submissions[number]
                _retrieve(outcome)

    async def _exits(self, entry: KnownOrder, outcomes: Sequence["asyncio.Future[KnownOrder]"]) -> list[KnownOrder]:
        """Wait for the exits of an order that was taken. Without one of them it must not stand.

        Its cancel is sent at once, to lose no time; that it arrives is for the caller to see to.
        """
        try:
            return list(await asyncio.gather(*outcomes))
        except OrderEndedError as refusal:
            text = f"an exit was refused, and its order is canceled: {refusal.text}"
            if self._client.isReady():
                self._send(self._client.cancelOrder, entry.order_id)
            raise ExitRefusedError(refusal.number, text) from None

    async def cancel(self, order_id: int, patience_seconds: float, sent: Callable[[], None]) -> None:
        """Ask to cancel an order that this client placed, and wait until the request is known to be taken."""
        await self._take_turn(patience_seconds)
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self.received.cancels.setdefault(order_id, set())
        waiting.add(taken)
        try:
            self._send(self._client.cancelOrder, order_id)
            sent()
            await taken
        finally:
            waiting.discard(taken)
            if not waiting:
                self.received.cancels.pop(order_id, None)

    async def find_contract(self, contract: Any, patience_seconds: float) -> list[Any]:
        """Return the details of the contracts that fit a description; raises ``ApiError`` 200 when there is none."""
        return await self._ask(patience_seconds, self._client.reqContractDetails, contract)

    async def executions(self, account: str, since: str, patience_seconds: float) -> list[Any]:
        """Return (contract, execution) of the gateway's day, from a moment on, of every client."""
        wanted = ExecutionFilter(acctCode=account, time=since)
        return await self._ask(patience_seconds, self._client.reqExecutions, wanted)

    async def summary(self, patience_seconds: float) -> list[Any]:
        """Return (account, tag, value, currency) for every account."""
        number = 0

        def request(request_id: int) -> None:
            nonlocal number
            number = request_id
            self._client.reqAccountSummary(request_id, "All", ",".join((*SUMMARY_TAGS, LEDGER_TAG)))

        try:
            return await self._ask(patience_seconds, request)
        finally:
            if number and self.is_usable:
                self._client.cancelAccountSummary(number)

    async def open_orders(self, patience_seconds: float) -> list[KnownOrder]:
        """Return all open orders of every client, as they are after this call."""
        return await self._list(receiver.OPEN_ORDERS, self._client.reqAllOpenOrders, patience_seconds)

    async def completed_orders(self, patience_seconds: float) -> list[Any]:
        """Return (contract, order, state) of the orders completed in the gateway's day."""
        return await self._list(
            receiver.COMPLETED_ORDERS, lambda: self._client.reqCompletedOrders(False), patience_seconds
        )

    async def positions(self, patience_seconds: float) -> list[Any]:
        """Return (account, contract, quantity, average cost) for every account."""
        try:
            return await self._list(receiver.POSITIONS, self._client.reqPositions, patience_seconds)
        finally:
            if self.is_usable and receiver.POSITIONS not in self._lists:
                self._client.cancelPositions()

    def probe(self) -> None:
        """Ask for the time, which every gateway answers at once."""
        self._send(self._client.reqCurrentTime)

    @property
    def has_overdue_list(self) -> bool:
        """Whether a list is still being waited for. Lists carry no request number, so the next answer may be its."""
        return any(lock.locked() for lock in self._list_locks.values())

    # -- inside ---------------------------------------------------------------------------

    async def _list(self, name: str, send: Callable[[], None], patience_seconds: float) -> list[Any]:
        """Ask for a list that carries no request number: one at a time, shared by all who asked before it was sent."""
        task = self._lists.get(name)
        if task is None:
            task = asyncio.create_task(self._fetch_list(name, send, patience_seconds))
            self._lists[name] = task
            task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def _fetch_list(self, name: str, send: Callable[[], None], patience_seconds: float) -> list[Any]:
        async with self._list_locks.setdefault(name, asyncio.Lock()):
            try:
                await self._take_turn(patience_seconds)
            finally:
                self._lists.pop(name, None)  # who asks from here on needs a newer answer
            answer = self.received.expect(name)
            self._send(send)
            return await answer

    async def _ask(self, patience_seconds: float, send: Callable[..., None], *arguments: Any) -> list[Any]:
        await self._take_turn(patience_seconds)
        number = self._number()
        answer = self.received.expect(number)
        try:
            self._send(send, number, *arguments)
            return await answer
        finally:
            self.received.forget(number)

    async def _take_turn(self, patience_seconds: float) -> None:
        """Wait for a place in the pace; raises ``BrokerCallError`` at once where that would take too long."""
        wait = self._pace.reserve(asyncio.get_running_loop().time(), patience_seconds)
        if wait is None:
            raise errors.out_of_pace()
        if wait > 0:
            await asyncio.sleep(wait)
        if not self.is_usable:
            raise errors.not_sent("NETWORK_NOT_CONNECTED", "the connection was lost before anything was sent")

    def _number(self) -> int:
        return int(self._client.getReqId())

    def _send(self, send: Callable[..., None], *arguments: Any) -> None:
        """Hand a message to the socket. The library refuses without a connection: nothing left then."""
        try:
            send(*arguments)
        except ConnectionError as error:
            raise errors.not_sent("NETWORK_NOT_CONNECTED", str(error)) from error


async def connect(address: Address, client_id: int, timeout_seconds: float) -> GatewayConnection:
    """Return a logged-on connection.

    Raises ``ClientIdInUseError``, or ``BrokerCallError`` where it did not come about.
    """
    connection = GatewayConnection(address, client_id)
    try:
        await connection.open(timeout_seconds)
    except ClientIdInUseError:
        raise
    except (GatewayError, OSError, ValueError) as error:
        raise errors.connect_error(error) from error
    return connection


async def _let_go(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _retrieve(task: "asyncio.Future[Any]") -> None:
    """Look at a shared result, so that one nobody waits for any more is not reported as unhandled."""
    if task.done() and not task.cancelled():
        task.exception()
