"""What a guard is made of: its circuit, limiter, bulkhead and budget, and who says what a failure means."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from reliability.conf import get_conf
from reliability.core.classification import ClassifiedError, Operation
from reliability.services.circuits import get_circuit
from reliability.services.classification import classify_exception
from reliability.services.guarding.policy import GuardPolicy
from reliability.services.limits.budget import SharedBudget
from reliability.services.limits.bulkhead import Bulkhead, SharedPlaces
from reliability.services.limits.rate import RateLimiter
from reliability.services.limits.registry import get_budget, get_bulkhead, get_rate_limiter, get_shared_places

_LEASE_MARGIN_SECONDS = 5.0

Classify = Callable[[Exception, str, Operation], ClassifiedError]


class Gate(Protocol):
    """What a guard asks of a circuit."""

    def admit(self) -> Any:
        """Return a permit with ``succeed``, ``fail``, ``fail_async`` and ``release``, or raise."""

    async def admit_async(self) -> Any:
        """As ``admit``, without blocking the event loop."""

    def wait_seconds(self) -> float:
        """Return how long calls are refused from now."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The connected parts of one guard; ``processes`` is how many processes share the pace of a recovery."""

    circuit: Gate
    budget: SharedBudget
    limiter: RateLimiter | None = None
    bulkhead: Bulkhead | None = None
    places: SharedPlaces | None = None
    classify: Classify = classify_exception
    processes: int = 1


def connect_parts(policy: GuardPolicy) -> Parts:
    """Return the parts for ``policy``, shared with everybody in this process who names the same."""
    limiter = bulkhead = places = None
    if policy.rate_limit is not None:
        limiter = get_rate_limiter(policy.limiter_name, policy.rate_limit)
    if policy.bulkhead is not None:
        bulkhead = get_bulkhead(policy.name, policy.bulkhead)
    longest = policy.place_lease or policy.timeout
    if policy.shared_bulkhead is not None and longest is not None:
        lease = longest.total_seconds() + _LEASE_MARGIN_SECONDS
        places = get_shared_places(policy.name, policy.shared_bulkhead, lease)
    return Parts(
        circuit=get_circuit(policy.circuit_name),
        budget=get_budget(policy.name, policy.budget),
        limiter=limiter,
        bulkhead=bulkhead,
        places=places,
        processes=get_conf().calling_processes,
    )
