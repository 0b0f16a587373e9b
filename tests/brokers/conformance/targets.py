"""Every adapter, with a broker it can be tried against. A new adapter joins here."""

from brokers.adapters.alpaca.client import ALPACA
from tests.brokers.conformance.counterpart import ConformanceTarget
from tests.brokers.conformance.simulated import launch_simulated

TARGETS = [ConformanceTarget("alpaca-simulated", ALPACA, launch_simulated)]
