"""Our own pace of messages, so that the gateway never has to drop one for coming too fast."""


class Pace:
    """A bucket of messages: as many at once as a second allows, then evenly at that rate.

    Plain arithmetic on the caller's clock. The client library's own throttle is switched off, because it
    queues: a message it held back could leave after its caller had given up.
    """

    def __init__(self, per_second: int) -> None:
        self._interval = 1.0 / per_second
        self._burst = self._interval * (per_second - 1)
        self._free_at = float("-inf")

    def reserve(self, now: float, patience_seconds: float) -> float | None:
        """Take the next place and return the wait for it in seconds; None, and no place, if that is too long."""
        free_at = max(self._free_at, now - self._burst)
        wait = max(free_at - now, 0.0)
        if wait > patience_seconds:
            return None
        self._free_at = free_at + self._interval
        return wait
