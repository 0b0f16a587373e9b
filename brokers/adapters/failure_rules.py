"""The rules of every broker's failures, by the source they speak for."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from brokers.adapters.alpaca import rules as alpaca
from brokers.adapters.alpaca import sdk_rules as alpaca_sdk
from brokers.adapters.alpaca import stream_rules as alpaca_stream
from brokers.adapters.binance import rules as binance
from brokers.adapters.ccxt import rules as ccxt
from brokers.adapters.ib import rules as ib
from reliability.core.rules import Resolver, Rule

RESOLVERS: Mapping[str, Resolver] = {
    alpaca.SOURCE: alpaca.resolve_rest,
    alpaca_stream.SOURCE: alpaca_stream.resolve_stream,
    alpaca_sdk.SOURCE: alpaca_sdk.resolve_sdk,
    ccxt.SOURCE: ccxt.resolve_ccxt,
    binance.SOURCE: binance.resolve_binance,
    ib.SOURCE: ib.resolve_ib,
}


_LIVE_SOURCES = {"alpaca": alpaca.SOURCE}


def live_source(adapter: str) -> str:
    """Return the source that rules name for failures of calls of an adapter: ``alpaca_rest``, ``ccxt``, ``ib``."""
    family = adapter.partition(":")[0]
    return _LIVE_SOURCES.get(family, family)


class Register(Protocol):
    def __call__(self, source: str, rules: Iterable[Rule] = (), resolver: Resolver | None = None) -> None: ...


def register_failure_rules(register: Register) -> None:
    """Hand the rules of every broker to whoever classifies failures in this process."""
    for source, resolver in RESOLVERS.items():
        register(source, resolver=resolver)
