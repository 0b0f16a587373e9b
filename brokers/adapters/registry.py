"""Which adapter speaks for which kind of broker."""

from brokers.adapters.alpaca.client import ALPACA
from brokers.adapters.errors import BrokersError
from brokers.adapters.interface import BrokerAdapter

_ADAPTERS: dict[str, BrokerAdapter] = {ALPACA.name: ALPACA}


class UnknownAdapterError(BrokersError):
    """No adapter of that name."""


def adapter_names() -> tuple[str, ...]:
    return tuple(_ADAPTERS)


def get_adapter(name: str) -> BrokerAdapter:
    """Return the adapter called ``name``; raises ``UnknownAdapterError``."""
    try:
        return _ADAPTERS[name]
    except KeyError:
        raise UnknownAdapterError(f"no adapter called {name!r}; known: {', '.join(_ADAPTERS)}") from None
