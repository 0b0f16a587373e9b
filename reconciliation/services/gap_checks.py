"""What a recovery asks of market data: registered by whoever keeps it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GapCheck:
    """``open_gaps`` is how many are open; while not ``is_settled`` they are being filled and are asked for again."""

    open_gaps: int
    is_settled: bool = True
    reason: str = ""


_CHECKS: list[Callable[[int], GapCheck]] = []


def register_gap_check(check: Callable[[int], GapCheck]) -> None:
    """Have a recovery ask ``check`` for the gaps that concern an account, by its id, until they are settled."""
    if check not in _CHECKS:
        _CHECKS.append(check)


def check_gaps(account_id: int) -> GapCheck:
    """Return the gaps of all that is registered, as one."""
    if not _CHECKS:
        return GapCheck(0, reason="No check of market data is registered, so no gap was looked for.")
    found = [check(account_id) for check in _CHECKS]
    return GapCheck(
        sum(one.open_gaps for one in found),
        all(one.is_settled for one in found),
        "; ".join(one.reason for one in found if one.reason),
    )
