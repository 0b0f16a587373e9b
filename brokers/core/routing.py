"""Which account of a route takes an order that no broker has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class WhenUnavailable(StrEnum):
    """What the caller wants while no account of the route can take the order."""

    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether an account can take an order now.

    ``wait_seconds`` is 0 when it can, else how long to wait before looking again; ``steady_seconds``
    is how long it has been able to without a break; ``room`` is how many orders may be begun now.
    """

    wait_seconds: float
    steady_seconds: float
    room: int = 1_000_000


def choose_account(route: Sequence[int], seen: Mapping[int, Availability], settle_seconds: float) -> int | None:
    """Return the first account of ``route`` that is available, or None when none is.

    An account that came back less than ``settle_seconds`` ago is passed over for a later one
    that has been steady for so long: so orders do not swing to and fro with a broker that does.
    Accounts that ``seen`` does not have count as unavailable.
    """
    available = [account for account in route if account in seen and seen[account].wait_seconds <= 0]
    steady = [account for account in available if seen[account].steady_seconds >= settle_seconds]
    return next(iter(steady or available), None)
