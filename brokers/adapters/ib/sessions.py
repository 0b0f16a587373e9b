"""Which connections a session holds: one for its own orders, one that stands by, short ones to cancel others'."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.ib import errors
from brokers.adapters.ib.address import Address, misconfigured, read_account_number, read_address
from brokers.adapters.ib.connection import GatewayConnection, connect
from brokers.adapters.ib.errors import ClientIdInUseError
from brokers.adapters.ib.standby import Standby
from brokers.adapters.interface import AccountSettings
from reliability.core.taxonomy import FailureKind

IDLE_SECONDS = 5.0
_BUSY_ID_SECONDS = 0.5


class Connections:
    """The order connection of one account in one process, opened when it is needed.

    The gateway lets one connection in under each client id, so it gives the ids out itself: a session takes the
    first that is free, and with it the orders of whoever had it before. A connection that was idle for some seconds is
    closed, because only a client of the same id may cancel an order. While one is held, another stands by under an id
    that no order was placed with before it took over.
    """

    def __init__(self, settings: AccountSettings) -> None:
        self.address: Address = read_address(settings, settings.base_url)
        self.account = read_account_number(settings)
        self._settings = settings
        self._current: GatewayConnection | None = None
        self._retired: set[GatewayConnection] = set()
        self._connecting: asyncio.Task[GatewayConnection] | None = None
        self._preferred_id = self.address.client_ids[0]
        self._under_way = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._standby = Standby(self.address, settings.connect_timeout_seconds, self._check)

    def is_ours(self, client_id: int) -> bool:
        """Return whether an order of this client was placed by a session of ours."""
        return client_id in self.address.client_ids or client_id in self.address.standby_client_ids

    @asynccontextmanager
    async def use(self) -> AsyncIterator[GatewayConnection]:
        """Lend the order connection for one call; raises ``BrokerCallError`` where there is none to be had."""
        self._under_way += 1
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        try:
            yield await self._get()
        finally:
            self._under_way -= 1
            if not self._under_way and not self._is_closed:
                loop = asyncio.get_running_loop()
                self._idle_timer = loop.call_later(IDLE_SECONDS, self._close_idle)

    @asynccontextmanager
    async def use_as(self, client_id: int) -> AsyncIterator[GatewayConnection]:
        """Lend a connection under the id of another session, for as long as that has left."""
        standing_by = self._standby.find(client_id)
        if standing_by is not None:
            yield standing_by
            return
        try:
            connection = await connect(self.address, client_id, self._settings.connect_timeout_seconds)
        except ClientIdInUseError as error:
            kind = FailureKind.TRANSIENT
            raise BrokerCallError(kind, error.code, error.message, error.raw_code, _BUSY_ID_SECONDS) from None
        try:
            yield connection
        finally:
            connection.close()

    def retire(self, connection: GatewayConnection) -> None:
        """Give a connection up whose answers cannot be told apart any more; calls on it may still end."""
        if self._current is connection:
            self._current = None
        if connection not in self._retired:
            self._retired.add(connection)
            loop = asyncio.get_running_loop()
            loop.call_later(self._settings.call_timeout_seconds, self._close_retired, connection)

    def close(self) -> None:
        self._is_closed = True
        self._standby.close()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._current is not None:
            self._current.close()
        for connection in self._retired:
            connection.close()

    async def _get(self) -> GatewayConnection:
        if self._is_closed:
            raise errors.not_sent("SYSTEM_SESSION_CLOSED", "the session is closed")
        if self._current is not None and self._current.is_usable:
            return self._current
        taken = self._standby.take()
        if taken is not None:
            self._current, self._preferred_id = taken, taken.client_id
            self._standby.keep(lambda: self._current, self.retire)
            return taken
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(_retrieve)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> GatewayConnection:
        """Log on under the first free id, beginning with the one held last."""
        ids = self.address.client_ids
        for client_id in (self._preferred_id, *(each for each in ids if each != self._preferred_id)):
            try:
                connection = await connect(self.address, client_id, self._settings.connect_timeout_seconds)
            except ClientIdInUseError:
                continue
            self._check(connection)
            self._current, self._preferred_id = connection, client_id
            self._standby.keep(lambda: self._current, self.retire)
            return connection
        raise errors.not_sent("AUTH_SESSION_CONFLICT", "every client id of ours is in use at the gateway", "326")

    def _check(self, connection: GatewayConnection) -> None:
        self.account = check_account(self._settings, connection, self.account)

    def _close_retired(self, connection: GatewayConnection) -> None:
        self._retired.discard(connection)
        connection.close()

    def _close_idle(self) -> None:
        if self._under_way:
            return
        self._standby.close()
        if self._current is not None:
            self._current.close()
            self._current = None


def check_account(settings: AccountSettings, connection: GatewayConnection, wanted: str) -> str:
    """Return the account number to use; closes the connection and raises where the gateway does not manage it."""
    managed = connection.accounts
    if wanted in managed:
        return wanted
    if not wanted and len(managed) == 1:
        return managed[0]
    connection.close()
    if wanted:
        message = f"account {settings.account}: the gateway does not manage its account number"
        raise errors.not_sent("AUTH_INVALID_CREDENTIALS", message)
    raise misconfigured(settings, f"the gateway manages {len(managed)} accounts; name the one meant")


def _retrieve(task: "asyncio.Task[GatewayConnection]") -> None:
    """Look at the result, so that a failure nobody waits for any more is not reported as unhandled."""
    if not task.cancelled():
        task.exception()
