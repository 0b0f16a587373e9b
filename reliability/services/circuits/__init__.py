"""Circuit breakers that all processes share; see docs/explanation/circuit-breaker.md."""

from reliability.services.circuits.circuit import Circuit
from reliability.services.circuits.control import configure, is_store_reachable, list_statuses, pin, reset, unpin
from reliability.services.circuits.hooks import on_transition, remove_hook
from reliability.services.circuits.permits import Permit
from reliability.services.circuits.registry import get_circuit, set_loader
from reliability.services.circuits.values import (
    CircuitOpenError,
    CircuitStatus,
    CircuitTruth,
    Pin,
    StoreUnavailableError,
    Transition,
)

__all__ = [
    "Circuit",
    "CircuitOpenError",
    "CircuitStatus",
    "CircuitTruth",
    "Permit",
    "Pin",
    "StoreUnavailableError",
    "Transition",
    "configure",
    "get_circuit",
    "is_store_reachable",
    "list_statuses",
    "on_transition",
    "pin",
    "remove_hook",
    "reset",
    "set_loader",
    "unpin",
]
