"""Which of an account's two connections is listened to, decided from what happens on them.

Both are subscribed; one is active and what it tells is recorded, the other stands by and what
it tells is kept for a while. Nothing here connects, sleeps or looks at a clock.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from brokers.core.reports import StreamEvent
from brokers.core.streams import MUTE_SECONDS, Backlog, Endpoint, MuteWatch, Names, event_names

RETURN_SECONDS = 30.0
_EVENT_SLACK_SECONDS = 0.5


class Turn(Enum):
    """What became of the pair: ``SWITCHED`` and ``UP`` begin a new generation."""

    NOTHING = auto()
    UP = auto()
    SWITCHED = auto()
    DOWN = auto()
    STANDBY_UP = auto()
    STANDBY_DOWN = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be done: record these events, in order; and the turn the pair took."""

    turn: Turn = Turn.NOTHING
    events: tuple[StreamEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Muteness:
    """A connection that lost something, and the names of what it lost."""

    endpoint: Endpoint
    lost: Names


@dataclass(slots=True)
class _Side:
    watch: MuteWatch
    backlog: Backlog = field(default_factory=Backlog)
    up_since: float | None = None
    heard_at: float = float("-inf")
    alive_at: float = float("-inf")


class StreamPair:
    """The connections of one account; ``active`` is the one whose events are recorded, if any is up."""

    def __init__(self, mute_seconds: float = MUTE_SECONDS, return_seconds: float = RETURN_SECONDS) -> None:
        self.active: Endpoint | None = None
        self._return_seconds = return_seconds
        self._sides = {endpoint: _Side(MuteWatch(mute_seconds)) for endpoint in Endpoint}

    def is_up(self, endpoint: Endpoint) -> bool:
        return self._sides[endpoint].up_since is not None

    def connected(self, endpoint: Endpoint, now: float) -> Outcome:
        """A subscription stands from now on."""
        side = self._sides[endpoint]
        side.up_since = side.alive_at = side.heard_at = now
        side.watch.begin(now)
        if self.active is None:
            self.active = endpoint
            return Outcome(Turn.UP, tuple(side.backlog.take(now)))
        return Outcome(Turn.STANDBY_UP)

    def heard(self, endpoint: Endpoint, event: StreamEvent | None, now: float) -> Outcome:
        """An event arrived, or a sign of life: sent, at the least, after the one before it was read here."""
        side = self._sides[endpoint]
        side.alive_at, side.heard_at = side.heard_at, now
        if event is None:
            return Outcome()
        facts = event_names(event)
        side.watch.saw(facts)
        for names in facts:
            self._sides[_other(endpoint)].watch.expect(names, known_at=now, began_at=now - _EVENT_SLACK_SECONDS)
        if endpoint is self.active:
            return Outcome(events=(event,))
        side.backlog.keep(event, now)
        return Outcome()

    def lost(self, endpoint: Endpoint, now: float) -> Outcome:
        """A connection ended; the other one takes its place if it is up."""
        side = self._sides[endpoint]
        was_up, side.up_since = side.up_since is not None, None
        side.watch.end()
        if endpoint is not self.active:
            return Outcome(Turn.STANDBY_DOWN if was_up else Turn.NOTHING)
        other = _other(endpoint)
        if self.is_up(other):
            return self._switch_to(other, now)
        self.active = None
        return Outcome(Turn.DOWN)

    def known(self, names: Names, *, known_at: float, began_at: float) -> None:
        """A reply or a poll told of something that both connections must tell of, too."""
        for side in self._sides.values():
            side.watch.expect(names, known_at=known_at, began_at=began_at)

    def find_mute(self) -> Muteness | None:
        """Return a connection that is up, shows signs of life, and lost something."""
        for endpoint, side in self._sides.items():
            lost = side.watch.overdue(side.alive_at) if side.up_since is not None else None
            if lost is not None:
                return Muteness(endpoint, lost)
        return None

    def settle(self, now: float) -> Outcome:
        """Go back to the primary endpoint once it has been up for long enough."""
        since = self._sides[Endpoint.PRIMARY].up_since
        steady = since is not None and now - since >= self._return_seconds
        if self.active is Endpoint.BACKUP and steady:
            return self._switch_to(Endpoint.PRIMARY, now)
        return Outcome()

    def _switch_to(self, endpoint: Endpoint, now: float) -> Outcome:
        self.active = endpoint
        return Outcome(Turn.SWITCHED, tuple(self._sides[endpoint].backlog.take(now)))


def _other(endpoint: Endpoint) -> Endpoint:
    return Endpoint.BACKUP if endpoint is Endpoint.PRIMARY else Endpoint.PRIMARY
