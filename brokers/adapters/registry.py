"""Which adapter speaks for which kind of broker."""

from importlib import import_module
from importlib.util import find_spec

from brokers.adapters.alpaca.client import ALPACA
from brokers.adapters.ccxt.client import CcxtAdapter
from brokers.adapters.ccxt.profiles import installed_exchanges
from brokers.adapters.errors import BrokersError
from brokers.adapters.interface import BrokerAdapter

_ADAPTERS: dict[str, BrokerAdapter] = {ALPACA.name: ALPACA}
# Imported at the first use, because their client libraries are optional: library, module and name of the adapter.
_ON_DEMAND: dict[str, tuple[str, str, str]] = {"ib": ("ib_async", "brokers.adapters.ib.client", "IB")}
_CCXT = "ccxt:"  # followed by ccxt's name of an exchange


class UnknownAdapterError(BrokersError):
    """No adapter of that name."""


def adapter_names() -> tuple[str, ...]:
    """Return the adapters that can be used here: those whose client library is installed, or that need none."""
    exchanges = (f"{_CCXT}{exchange_id}" for exchange_id in installed_exchanges())
    on_demand = (name for name, (library, _, _) in _ON_DEMAND.items() if find_spec(library) is not None)
    return tuple(dict.fromkeys((*_ADAPTERS, *on_demand, *exchanges)))


def get_adapter(name: str) -> BrokerAdapter:
    """Return the adapter called ``name``; raises ``UnknownAdapterError``, also where its library is not installed."""
    if name not in _ADAPTERS and name in _ON_DEMAND:
        _, module, attribute = _ON_DEMAND[name]
        try:
            _ADAPTERS[name] = getattr(import_module(module), attribute)
        except ImportError as error:
            raise UnknownAdapterError(f"the adapter {name!r} needs the extra stanchion[{name}]: {error}") from error
    if name not in _ADAPTERS and name.startswith(_CCXT):
        if not installed_exchanges():
            raise UnknownAdapterError(f"the adapter {name!r} needs the extra stanchion[ccxt]")
        if name.removeprefix(_CCXT) in installed_exchanges():
            _ADAPTERS[name] = CcxtAdapter(name.removeprefix(_CCXT))
    try:
        return _ADAPTERS[name]
    except KeyError:
        raise UnknownAdapterError(f"no adapter called {name!r}; known: {', '.join(adapter_names())}") from None
