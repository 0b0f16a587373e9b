"""Which of a broker's two addresses calls go to, from what each was found to answer."""

from dataclasses import dataclass

from brokers.core.streams import Endpoint

SETTLE_SECONDS = 5.0


@dataclass(slots=True)
class CallEndpoint:
    """The choice for one account; an address that came back is trusted again after it answered for a while."""

    current: Endpoint = Endpoint.PRIMARY
    settle_seconds: float = SETTLE_SECONDS
    _primary_since: float | None = None

    def decide(self, *, primary: bool, backup: bool, now: float) -> Endpoint:
        """Take in which address answers now, and return where calls go."""
        if not primary:
            self._primary_since = None
        elif self._primary_since is None:
            self._primary_since = now
        if self.current is Endpoint.PRIMARY and not primary and backup:
            self.current = Endpoint.BACKUP
        elif self.current is Endpoint.BACKUP and self._is_steady(now, backup=backup):
            self.current = Endpoint.PRIMARY
        return self.current

    def _is_steady(self, now: float, *, backup: bool) -> bool:
        if self._primary_since is None:
            return False
        return not backup or now - self._primary_since >= self.settle_seconds
