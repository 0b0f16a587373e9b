"""The command line of the simulated broker."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program was started with. ``api_key`` empty means that any key pair is let in."""

    host: str
    port: int
    backup_port: int | None
    data_dir: Path
    name: str
    seed: int
    data_seed: int
    api_key: str
    api_secret: str
    tick_ms: float
    cash: Decimal
    multiplier: Decimal
    symbols: list[str] | None
    volatility: float
    liquidity: Decimal
    partial_probability: float
    allow_short: bool
    dedupe: bool
    fee_rate: Decimal
    fees_from_received: bool
    market_closed: bool
    ib_port: int | None
    ib_account: str
    ib_master_client_id: int


def _money(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"not a number: {text}") from error
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError(f"must be above 0: {text}")
    return value


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"not a port: {text}")
    return int(text)


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1: {text}")
    return value


def _fee_rate(text: str) -> Decimal:
    value = Decimal(0) if text == "0" else _money(text)
    if value > Decimal("0.1"):
        raise argparse.ArgumentTypeError(f"must be from 0 to 0.1: {text}")
    return value


def _milliseconds(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 60_000:
        raise argparse.ArgumentTypeError(f"must be from 1 to 60000: {text}")
    return value


def _symbols(text: str) -> list[str]:
    symbols = [symbol.strip().upper() for symbol in text.split(",") if symbol.strip()]
    if not symbols:
        raise argparse.ArgumentTypeError("names no symbol")
    return symbols


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m brokers.simulator",
        description="A broker for tests and demonstrations, with Alpaca's API, a ledger of its own and fault switches.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=_port, default=8090, help="port to listen on, 0 for a free one (default 8090)")
    add("--backup-port", type=_port, help="listen on a second port too, before the same ledger; 0 for a free one")
    add("--data-dir", type=Path, required=True, help="directory of the ledger; created if absent")
    add("--name", default="sim", help="name shown in the ready line and in /sim/state")
    add("--seed", type=int, default=1, help="seed of prices, partial fills and fault probabilities (default 1)")
    add("--data-seed", type=int, help="seed of bars alone: brokers of one market share it (default: the seed)")
    add("--api-key", help="only key let in (or STANCHION_SIM_API_KEY); unset lets any key pair in")
    add("--api-secret", help="its secret (or STANCHION_SIM_API_SECRET)")
    add("--tick-ms", type=_milliseconds, default=50.0, help="milliseconds between ticks (default 50)")
    add("--cash", type=_money, default=Decimal(1_000_000), help="starting cash (default 1000000)")
    add("--multiplier", type=_money, default=Decimal(1), help="buying power per unit of equity (default 1)")
    add("--symbols", type=_symbols, help="comma-separated symbols to offer (default: the whole catalogue)")
    add("--volatility", type=_share, default=0.0002, help="relative price change per tick (default 0.0002)")
    add("--liquidity", type=_money, default=Decimal(5000), help="most traded per tick and symbol (default 5000)")
    add("--partial-probability", type=_share, default=0.25, help="chance that an order fills in part (default 0.25)")
    add("--allow-short", action="store_true", help="let orders sell more than is held")
    add("--no-dedupe", action="store_true", help="accept a client_order_id more than once")
    add("--fee-rate", type=_fee_rate, default=Decimal(0), help="share of an execution's value it costs (default 0)")
    add("--fees-from-received", action="store_true", help="take fees of pairs out of what is bought, not the cash")
    add("--market-closed", action="store_true", help="start with the market closed: orders wait")
    add("--ib-port", type=_port, help="also speak the TWS socket protocol on this port, 0 for a free one")
    add("--ib-account", default="DU1234567", help="account number shown to TWS clients (default DU1234567)")
    add("--ib-master-client-id", type=int, default=99, help="TWS client that hears of all orders (default 99)")
    return parser


def parse_settings(arguments: Sequence[str] | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of a command line; a wrong one ends the program with a message."""
    parser = build_parser()
    given = parser.parse_args(arguments)
    api_key = given.api_key or environment.get("STANCHION_SIM_API_KEY", "")
    api_secret = given.api_secret or environment.get("STANCHION_SIM_API_SECRET", "")
    if bool(api_key) != bool(api_secret):
        parser.error("an API key needs a secret, and a secret needs a key")
    return Settings(
        host=given.host,
        port=given.port,
        backup_port=given.backup_port,
        data_dir=given.data_dir,
        name=given.name,
        seed=given.seed,
        data_seed=given.seed if given.data_seed is None else given.data_seed,
        api_key=api_key,
        api_secret=api_secret,
        tick_ms=given.tick_ms,
        cash=given.cash,
        multiplier=given.multiplier,
        symbols=given.symbols,
        volatility=given.volatility,
        liquidity=given.liquidity,
        partial_probability=given.partial_probability,
        allow_short=given.allow_short,
        dedupe=not given.no_dedupe and given.ib_port is None,
        fee_rate=given.fee_rate,
        fees_from_received=given.fees_from_received,
        market_closed=given.market_closed,
        ib_port=given.ib_port,
        ib_account=given.ib_account,
        ib_master_client_id=given.ib_master_client_id,
    )
