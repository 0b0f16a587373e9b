"""The per-minute allowance of a rate_limit fault."""

from dataclasses import dataclass


@dataclass
class RateWindow:
    """Counts calls per minute for a rate_limit fault that allows some."""

    started_at: float = 0.0
    count: int = 0

    def admit(self, now: float, per_minute: int) -> int:
        """Count one call and return how many are left; below zero is one too many."""
        if now - self.started_at >= 60:
            self.started_at, self.count = now, 0
        self.count += 1
        return per_minute - self.count
