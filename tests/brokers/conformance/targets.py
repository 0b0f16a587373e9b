"""Every adapter, with a broker it can be tried against. A new adapter joins here."""

from brokers.adapters.alpaca.client import ALPACA
from brokers.adapters.ib.client import IB
from tests.brokers.conformance import ib_gateway
from tests.brokers.conformance.counterpart import ConformanceTarget
from tests.brokers.conformance.exchanges import CCXT_ALPACA, CCXT_BINANCE, launch_alpaca, launch_binance
from tests.brokers.conformance.simulated import launch_simulated

TARGETS = [
    ConformanceTarget("alpaca-simulated", ALPACA, launch_simulated),
    ConformanceTarget("ccxt-alpaca", CCXT_ALPACA, launch_alpaca),
    ConformanceTarget("ccxt-binance", CCXT_BINANCE, launch_binance),
    ConformanceTarget(
        "ib-gateway",
        IB,
        ib_gateway.launch_gateway,
        submit_troubles=frozenset(ib_gateway.FAULTS),
        cancel_troubles=ib_gateway.CANCEL_TROUBLES,
        query_troubles=ib_gateway.QUERY_TROUBLES,
        silent=ib_gateway.SILENT,
        lists_instruments=False,
    ),
]
