"""``python -m brokers.simulator``: run one simulated broker until it is told to stop."""

import asyncio
import os
import signal
import sys
from functools import partial
from typing import Any

import uvloop
from aiohttp import web

from brokers.simulator.app import build_app
from brokers.simulator.broker import Broker
from brokers.simulator.doors import Doors
from brokers.simulator.faults import Endpoint
from brokers.simulator.ib.connection import ApiSocket
from brokers.simulator.ledger import LEDGER_NAME, LedgerError
from brokers.simulator.ledger_writer import LedgerWriter
from brokers.simulator.rest.market_data import quote_now, trade_now
from brokers.simulator.settings import Settings, parse_settings

SHUTDOWN_SECONDS = 0.3


async def serve(settings: Settings) -> None:
    """Replay the ledger, listen, and tick until SIGTERM, SIGINT or a failing disk."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with LedgerWriter(settings.data_dir / LEDGER_NAME) as ledger:
        broker = Broker(settings, ledger)
        broker.replay()
        broker.start(os.getpid())
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, broker.stopping.set)
        runner = web.AppRunner(build_app(broker), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        doors = Doors(broker, runner)
        for endpoint, port in (await doors.open_all()).items():
            where = "" if endpoint is Endpoint.PRIMARY else f" as its {endpoint}"
            print(f"simulator {settings.name} listening{where} on http://{settings.host}:{port}", flush=True)
        api = await _serve_ib(broker) if settings.ib_port is not None else None
        await _run_until_stopped(broker, doors)
        broker.streams.disconnect_all()
        broker.gateway.disconnect_all()
        if api is not None:
            api.close()
        await runner.cleanup()


async def _serve_ib(broker: Broker) -> asyncio.Server:
    """Listen for TWS clients as well, and say where."""

    async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ApiSocket(broker.gateway, reader, writer).serve()

    settings = broker.settings
    server = await asyncio.start_server(serve_client, settings.host, settings.ib_port)
    port = server.sockets[0].getsockname()[1]
    print(f"simulator {settings.name} listening for TWS clients on tcp://{settings.host}:{port}", flush=True)
    return server


async def _run_data(broker: Broker) -> None:
    """Tell market data to those who listen."""
    await broker.data.run(partial(trade_now, broker), partial(quote_now, broker))


async def _run_until_stopped(broker: Broker, doors: Doors) -> None:
    """Run the background work; the first part of it that fails ends the program with its error."""
    waiting: set[asyncio.Future[Any]] = {
        asyncio.create_task(broker.stopping.wait()),
        asyncio.create_task(broker.run_ticks()),
        asyncio.create_task(broker.streams.run()),
        asyncio.create_task(_run_data(broker)),
        asyncio.create_task(doors.run()),
        broker.ledger.failed,
    }
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    broker.stopping.set()
    for future in pending:
        future.cancel()
    for future in done:
        future.result()


def main() -> int:
    settings = parse_settings(None)
    try:
        uvloop.run(serve(settings))
    except (OSError, LedgerError) as error:
        print(f"simulator {settings.name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
