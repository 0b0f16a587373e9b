"""The ports a simulated broker listens on: each can be shut for a while, as a dead endpoint is."""

import asyncio

from aiohttp import web

from brokers.simulator.broker import Broker
from brokers.simulator.faults import Endpoint, FaultKind

ANSWER_SECONDS = 0.05  # the call that shuts the door it came through gets its answer first


class Doors:
    """Listens on every port of the broker, and shuts those whose endpoint is down."""

    def __init__(self, broker: Broker, runner: web.AppRunner) -> None:
        self._broker = broker
        self._runner = runner
        self._open: dict[Endpoint, web.TCPSite] = {}

    async def open_all(self) -> dict[Endpoint, int]:
        """Listen, and return the port of each endpoint."""
        settings = self._broker.settings
        wanted = {Endpoint.PRIMARY: settings.port}
        if settings.backup_port is not None:
            wanted[Endpoint.BACKUP] = settings.backup_port
        for endpoint, port in wanted.items():
            known = {address[1] for address in self._runner.addresses}
            await self._listen(endpoint, port)
            (port,) = {address[1] for address in self._runner.addresses} - known
            self._broker.ports[port] = endpoint
        return {endpoint: port for port, endpoint in self._broker.ports.items()}

    async def run(self) -> None:
        """Open and shut as the faults say, until cancelled."""
        while True:
            await self._broker.conditions_changed.wait()
            self._broker.conditions_changed.clear()
            for port, endpoint in self._broker.ports.items():
                down = self._broker.faults.is_active_at(FaultKind.ENDPOINT_DOWN, endpoint)
                if down and endpoint in self._open:
                    await self._shut(endpoint, port)
                elif not down and endpoint not in self._open:
                    await self._listen(endpoint, port)

    async def _listen(self, endpoint: Endpoint, port: int) -> None:
        site = web.TCPSite(self._runner, self._broker.settings.host, port, backlog=1024)
        await site.start()
        self._open[endpoint] = site

    async def _shut(self, endpoint: Endpoint, port: int) -> None:
        await asyncio.sleep(ANSWER_SECONDS)
        await self._open.pop(endpoint).stop()
        assert self._runner.server is not None
        for handler in list(self._runner.server.connections):
            transport = handler.transport
            if transport is not None and transport.get_extra_info("sockname")[1] == port:
                transport.abort()
