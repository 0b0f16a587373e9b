"""What an order stream can be, and when one that answers pings is believed no longer."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from brokers.core.reports import StreamEvent

MUTE_SECONDS = 0.4
KEPT_SECONDS = 10.0
_MOST_SEEN = 20_000
_MOST_KEPT = 20_000


class Endpoint(StrEnum):
    """One of the two addresses of a broker; both lead to the same account."""

    PRIMARY = "primary"
    BACKUP = "backup"


class StreamState(StrEnum):
    """``mute`` is a stream that shows signs of life and yet did not tell of what the broker did."""

    UP = "up"
    MUTE = "mute"
    DOWN = "down"


class StandbyState(StrEnum):
    NONE = "none"
    UP = "up"
    DOWN = "down"


class StreamChangeKind(StrEnum):
    """What can happen to an account's stream; each leaves one row."""

    UP = "up"
    SILENT = "silent"
    MUTE = "mute"
    DOWN = "down"
    SWITCHED = "switched"
    CAUGHT_UP = "caught_up"
    STANDBY_UP = "standby_up"
    STANDBY_DOWN = "standby_down"
    UNREACHABLE = "unreachable"
    REACHABLE = "reachable"
    CALLS_MOVED = "calls_moved"


Names = frozenset[str]
"""All names of one thing that a stream tells of; knowing it by one of them is enough."""


def order_names(client_order_id: str, broker_order_id: str = "") -> Names:
    """Return the names of the fact that the broker has an order."""
    names = {
        f"client:{client_order_id}" if client_order_id else "",
        f"broker:{broker_order_id}" if broker_order_id else "",
    }
    return frozenset(names - {""})


def execution_names(execution_id: str, broker_order_id: str, cumulative_quantity: Decimal | None) -> Names:
    """Return the names of one execution: its id, and how much of the order was filled after it."""
    if cumulative_quantity is None:
        return frozenset({f"execution:{execution_id}"})
    filled = f"filled:{broker_order_id}:{cumulative_quantity.normalize():f}"
    return frozenset({f"execution:{execution_id}", filled})


def event_names(event: StreamEvent) -> tuple[Names, ...]:
    """Return what one event tells of: the order, and the fill if it is one."""
    order = order_names(event.order.client_order_id, event.order.broker_order_id)
    if event.fill is None:
        return (order,)
    fill = event.fill
    return order, execution_names(fill.execution_id, fill.broker_order_id, fill.cumulative_quantity)


@dataclass(slots=True)
class MuteWatch:
    """What one connection should have told, because something else told it first.

    A broker sends its events in order, and a sign of life is one of them: whatever was known
    ``limit`` before a sign of life was sent, and was not told until then, the connection has
    lost. Time is a monotonic clock in seconds.
    """

    limit: float = MUTE_SECONDS
    since: float = float("inf")
    _expected: dict[Names, float] = field(default_factory=dict)
    _by_name: dict[str, Names] = field(default_factory=dict)
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def begin(self, now: float) -> None:
        """The subscription stands from now on: what began before, it need not tell."""
        self.since = now
        self._expected.clear()
        self._by_name.clear()

    def end(self) -> None:
        """There is no subscription, so that nothing is expected of it."""
        self.begin(float("inf"))

    def expect(self, names: Names, *, known_at: float, began_at: float) -> None:
        """Something else told of this at ``known_at``; it happened no earlier than ``began_at``."""
        if began_at < self.since or not names or names in self._expected:
            return
        if any(name in self._seen for name in names):  # isdisjoint would walk through everything seen
            return
        self._expected[names] = known_at
        self._by_name.update(dict.fromkeys(names, names))

    def saw(self, facts: Iterable[Names]) -> None:
        """The connection told of these."""
        for names in facts:
            for name in names:
                self._seen[name] = None
                self._seen.move_to_end(name)
                self._fulfil(self._by_name.get(name))
        while len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)

    def overdue(self, alive_at: float) -> Names | None:
        """Return what a connection has lost whose last sign of life was sent at ``alive_at`` or later, or None."""
        return next((names for names, at in self._expected.items() if at + self.limit <= alive_at), None)

    def _fulfil(self, names: Names | None) -> None:
        if names is not None and self._expected.pop(names, None) is not None:
            for name in names:
                self._by_name.pop(name, None)


@dataclass(slots=True)
class Backlog:
    """The last events of a connection that stands by, kept for the moment it is switched to."""

    seconds: float = KEPT_SECONDS
    _events: deque[tuple[float, StreamEvent]] = field(default_factory=lambda: deque(maxlen=_MOST_KEPT))

    def keep(self, event: StreamEvent, now: float) -> None:
        self._events.append((now, event))
        while self._events and self._events[0][0] < now - self.seconds:
            self._events.popleft()

    def take(self, now: float) -> list[StreamEvent]:
        """Return the events that are young enough, oldest first, and forget all."""
        events = [event for at, event in self._events if at >= now - self.seconds]
        self._events.clear()
        return events
