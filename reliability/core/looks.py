"""How often the sentinel that leads looks at what nobody reports: the one table of it.

What something costs at rest is what is looked at, and how often. What must be known within a second is looked at
twice a second; what may take five has time left for the look that tells people of it.
"""

from collections.abc import Mapping

TICK_SECONDS = 0.5
"""The least time between two looks at the same thing."""

WITHIN_A_SECOND: Mapping[str, float] = {
    "check_streams": 0.5,
    "watch_disruptions": 0.5,
}
"""Looks at what must be known within a second. A process that died and a breaker that opened are told when it happens,
not looked for here; what is done about them begins with these."""

WITHIN_FIVE_SECONDS: Mapping[str, float] = {
    "add_up_repeats": 1.0,
    "roll_up_errors": 1.0,
    "check_beat": 3.0,
    "check_circuits": 2.0,
    "check_dead_letters": 2.0,
    "check_due_interventions": 3.0,
    "check_halts": 2.0,
    "check_lanes": 2.0,
    "check_measured": 3.0,
    "check_processes": 2.0,
    "check_redis": 1.0,
    "check_stops": 2.0,
    "check_unknown_orders": 2.0,
    "watch_freezes": 1.0,
    "watch_left_frozen": 2.0,
    "watch_market_data": 2.0,
    "watch_settled_symbols": 1.0,
    "end_cleared": 1.0,
    "mark_silenced": 2.0,
    "follow_alerts": 2.0,
    "run_due_escalations": 1.0,
    "tell_of_new_alerts": 3.0,
}

HASTENED = ("mark_silenced", "follow_alerts", "run_due_escalations")
"""What is done at once when there is a new alert, whatever the table says."""

UNHURRIED: Mapping[str, float] = {
    "check_clock": 15.0,
    "check_upkeep": 30.0,
    "expire_changes": 15.0,
    "end_quiet_groups": 30.0,
}
"""Looks at what is counted in hours, or drifts slowly."""

INTERVALS: Mapping[str, float] = {**WITHIN_A_SECOND, **WITHIN_FIVE_SECONDS, **UNHURRIED}


class Rounds:
    """Which looks are due in the rounds of one process; at first all are. What is not in the table always is."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._newest = 0

    def is_due(self, name: str, now: float) -> bool:
        """Return whether to look in this round, at ``now`` of the monotonic clock; if so, it is taken as done."""
        if now < self._next.get(name, 0.0):
            return False
        self._next[name] = now + INTERVALS.get(name, 0.0) - TICK_SECONDS / 2  # rounds are not exact
        return True

    def hasten(self, *names: str) -> None:
        """Have these be due at their next question."""
        for name in names:
            self._next.pop(name, None)

    def is_new(self, number: int) -> bool:
        """Return whether ``number``, that of the newest row of what is followed, grew since it was last asked."""
        grew, self._newest = number > self._newest, number
        return grew

    def forget(self) -> None:
        """Have everything be due again: a round broke off, or another process led meanwhile."""
        self._next.clear()
