"""The simulated broker as an exchange: the same process and troubles, spoken to through ccxt."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from brokers.adapters.interface import BrokerAdapter
from brokers.adapters.registry import get_adapter
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from tests.brokers.conformance.counterpart import Trouble
from tests.brokers.conformance.simulated import (
    API_KEY,
    API_SECRET,
    FAULTS,
    SimulatedCounterpart,
    read_address,
    run_simulator,
)

CCXT_ALPACA, CCXT_BINANCE = get_adapter("ccxt:alpaca"), get_adapter("ccxt:binance")
BINANCE_FAULTS: dict[Trouble, dict[str, Any]] = {
    **FAULTS,
    Trouble.ERROR_IN_SUCCESS: {"kind": "error", "status": 200, "body": {"code": -2013, "msg": "Order does not exist."}},
    Trouble.LOGIN_REFUSED: {"kind": "auth_expired"},
    Trouble.INSUFFICIENT_FUNDS: {
        "kind": "error",
        "status": 400,
        "body": {"code": -2010, "msg": "Account has insufficient balance for requested action."},
    },
    Trouble.ECHOED_CREDENTIALS: {
        "kind": "error",
        "status": 500,
        "body": {"code": -1000, "msg": f"X-MBX-APIKEY={API_KEY} secret={API_SECRET}"},
    },
}


class ExchangeCounterpart(SimulatedCounterpart):
    """A running simulated broker that trades pairs under the names of an exchange."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        super().__init__(process, url)
        self.settings = replace(self.settings, base_url=f"{url}?currency=USD")

    def resting_terms(self) -> OrderTerms:
        return replace(super().resting_terms(), symbol="BTC/USD")

    def invalid_terms(self) -> OrderTerms:
        """Return terms that pass every check on this side: the account cannot pay them."""
        size, price = Decimal(1000), Decimal("90000.00")
        return OrderTerms("BTC/USD", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, quantity=size, limit_price=price)

    def fill(self, broker_order_id: str, quantity: Decimal) -> None:
        super().fill(self.ledger_id(broker_order_id.rpartition(":")[2]), quantity)

    def ledger_id(self, exchange_order_id: str) -> str:
        """Return the simulated broker's own id of an order."""
        return exchange_order_id

    def warm_up(self, adapter: BrokerAdapter) -> None:
        """Let this process learn the markets, as it does long before there is trouble."""

        async def learn() -> None:
            session = adapter.open_session(self.settings)
            await session.get_account()
            await session.close()

        asyncio.run(learn())


class BinanceCounterpart(ExchangeCounterpart):
    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        super().__init__(process, url)
        self.settings = replace(self.settings, stream_url=url.replace("http", "ws") + "/ws-api/v3")
        self._order_ids: list[str] = []

    def make_trouble(self, trouble: Trouble) -> None:
        self.control("POST", "/sim/faults", {**BINANCE_FAULTS[trouble], "operation": "any"})

    def ledger_id(self, exchange_order_id: str) -> str:
        """Binance's dialect counts the orders that the ledger accepted."""
        number = int(exchange_order_id)
        if number > len(self._order_ids):
            rows = map(json.loads, self.control("GET", "/sim/ledger").splitlines())
            self._order_ids = [row["order"]["id"] for row in rows if row["kind"] == "accepted"]
        return self._order_ids[number - 1]


@contextmanager
def launch_alpaca(directory: Path) -> Iterator[ExchangeCounterpart]:
    """Run a simulated Alpaca for pairs on a free port until the block ends."""
    with run_simulator(directory) as process:
        counterpart = ExchangeCounterpart(process, read_address(process))
        counterpart.warm_up(CCXT_ALPACA)
        yield counterpart


@contextmanager
def launch_binance(directory: Path) -> Iterator[BinanceCounterpart]:
    """Run a simulated Binance on a free port until the block ends."""
    with run_simulator(directory) as process:
        counterpart = BinanceCounterpart(process, read_address(process))
        counterpart.warm_up(CCXT_BINANCE)
        yield counterpart
