"""A gateway for tests, its ledger, and ways to use sessions with it."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from brokers.adapters.ib.client import IB
from brokers.adapters.interface import AccountSettings, BrokerSession
from brokers.core.reports import OrderReport, ReportedStatus
from brokers.simulator.ledger import LedgerSummary, read_ledger
from tests.brokers.conformance.ib_gateway import ACCOUNT, GatewayCounterpart, launch_gateway
from tests.brokers.conformance.simulated import API_KEY, API_SECRET
from tests.patience import PATIENCE_SECONDS


class LedgeredGateway:
    """A running gateway and the ledger it writes."""

    def __init__(self, counterpart: GatewayCounterpart, directory: Path) -> None:
        self.counterpart = counterpart
        self.directory = directory

    @property
    def settings(self) -> AccountSettings:
        return self.counterpart.settings

    def ledger(self) -> LedgerSummary:
        return read_ledger(self.directory)

    def fault(self, kind: str, **parameters: Any) -> None:
        self.counterpart.control("POST", "/sim/faults", {"kind": kind, **parameters})

    def clear(self) -> None:
        self.counterpart.clear_trouble()

    def place_elsewhere(self, **body: Any) -> None:
        """Place an order on the account by another way than the gateway's API."""
        headers = {"APCA-API-KEY-ID": API_KEY, "APCA-API-SECRET-KEY": API_SECRET}
        request = urllib.request.Request(
            f"{self.counterpart.url}/v2/orders", json.dumps(body).encode(), headers, method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200

    @asynccontextmanager
    async def session(self, **settings: Any) -> AsyncIterator[BrokerSession]:
        session = IB.open_session(replace(self.settings, **settings))
        try:
            yield session
        finally:
            await session.close()


@contextmanager
def running_gateway(directory: Path) -> Iterator[LedgeredGateway]:
    with launch_gateway(directory) as counterpart:
        yield LedgeredGateway(counterpart, directory)


async def until(session: BrokerSession, client_order_id: str, status: ReportedStatus) -> OrderReport:
    """Ask until the order is reported in this status."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            report = await session.find_order(client_order_id)
            if report is not None and report.status is status:
                return report
            await asyncio.sleep(0.02)


def settings_for(address: str) -> AccountSettings:
    return AccountSettings("a", address, address, {"api_key": ACCOUNT, "api_secret": "unused"})
