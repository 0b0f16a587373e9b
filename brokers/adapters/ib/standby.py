"""A second connection beside the one that carries the calls, logged on under an id of its own and ready at once.

It takes over when the first is lost, or says nothing for a while in which the second is answered. What was under
way on the first has the outcome that it has: nothing is sent again.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.ib.address import Address
from brokers.adapters.ib.connection import GatewayConnection, connect
from brokers.adapters.ib.errors import ClientIdInUseError

PROBE_SECONDS = 0.5
SILENT_SECONDS = 1.5
_AGAIN_SECONDS = 1.0
_MOST_IDS = 8


class Standby:
    """Keeps the second connection while the first is used; ``accept`` raises where it is one of another account."""

    def __init__(
        self, address: Address, connect_timeout_seconds: float, accept: Callable[[GatewayConnection], object]
    ) -> None:
        self._address = address
        self._connect_timeout_seconds = connect_timeout_seconds
        self._accept = accept
        self._ready: GatewayConnection | None = None
        self._keeper: asyncio.Task[None] | None = None

    def keep(self, first: Callable[[], GatewayConnection | None], give_up: Callable[[GatewayConnection], None]) -> None:
        """Begin to stand by for the connection that ``first`` returns, and to tell when it is to be given up."""
        if self._address.standby_client_ids and (self._keeper is None or self._keeper.done()):
            self._keeper = asyncio.create_task(self._keep(first, give_up))

    def take(self) -> GatewayConnection | None:
        """Return the second connection, which is the first from now on; None where there is none."""
        taken, self._ready = self._ready, None
        return taken if taken is not None and taken.is_usable else None

    def find(self, client_id: int) -> GatewayConnection | None:
        """Return the second connection if it has this id."""
        ready = self._ready
        return ready if ready is not None and ready.is_usable and ready.client_id == client_id else None

    @property
    def is_ready(self) -> bool:
        return self._ready is not None and self._ready.is_usable

    def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        if self._ready is not None:
            self._ready.close()
            self._ready = None

    async def _keep(
        self, first: Callable[[], GatewayConnection | None], give_up: Callable[[GatewayConnection], None]
    ) -> None:
        silent_seconds = 0.0
        while True:
            current = first()
            if current is not None and not self.is_ready:
                self._ready = await self._open(current.client_id)
                if self._ready is None:
                    await asyncio.sleep(_AGAIN_SECONDS)
                    continue
            is_silent = await self._listen(current)
            silent_seconds = silent_seconds + PROBE_SECONDS if is_silent and current is first() else 0.0
            if current is not None and silent_seconds >= SILENT_SECONDS:
                silent_seconds = 0.0
                give_up(current)

    async def _listen(self, current: GatewayConnection | None) -> bool:
        """Ask both for the time and wait; return whether the second alone said something meanwhile.

        A stalled event loop counts as one interval at most, and what came meanwhile is read before it ends.
        """
        both = [one for one in (current, self._ready) if one is not None and one.is_usable]
        heard_before = {one: one.received.heard_at for one in both}
        for one in both:
            with suppress(BrokerCallError):  # it was lost in this moment, which the next look finds
                one.probe()
        await asyncio.sleep(PROBE_SECONDS)
        heard = {one for one in both if one.received.heard_at > heard_before[one]}
        return current in heard_before and current not in heard and self._ready in heard

    async def _open(self, client_id: int) -> GatewayConnection | None:
        """Log on under one of the ids for it, beginning with the one that belongs to the first connection's."""
        ids = list(self._address.standby_client_ids)
        place = client_id - (self._address.client_ids.start if client_id in self._address.client_ids else ids[0] - 1)
        for offset in range(min(_MOST_IDS, len(ids))):
            try:
                connection = await connect(
                    self._address, ids[(place + offset) % len(ids)], self._connect_timeout_seconds
                )
                self._accept(connection)
            except ClientIdInUseError:
                continue
            except (BrokerCallError, TimeoutError):
                return None
            return connection
        return None
