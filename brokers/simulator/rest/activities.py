"""/v2/account/activities: fills and what moved cash, in order, with the activity id as a cursor."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from operator import attrgetter

from brokers.simulator.gate import Answer, Call
from brokers.simulator.orders import CashActivity, Fill
from brokers.simulator.query import instant_of, names_of, one_of, whole_number
from brokers.simulator.requests import refuse
from brokers.simulator.wire import Json, activity_json, cash_activity_json

PAGE_LIMIT = 100
BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)
_id_of, _at = attrgetter("activity_id"), attrgetter("at")


def list_activities(call: Call) -> Answer:
    return _list(call, names_of(call.query, "activity_types"))


def list_activities_of_type(call: Call) -> Answer:
    return _list(call, [call.path_value("activity_type")])


@dataclass(frozen=True, slots=True)
class _Page:
    """Which activities are asked for; ``after`` and ``until`` bound them, both exclusive but for ``since``."""

    since: datetime
    after: datetime
    until: datetime
    token: str
    is_newest_first: bool
    size: int

    def cut(self, rows: Sequence[Fill] | Sequence[CashActivity]) -> tuple[int, int]:
        """Return the range of rows, which are in order, from which the page may take."""
        first = bisect_left(rows, self.since, key=_at)
        low = max(first, bisect_right(rows, self.after, key=_at))
        high = bisect_left(rows, self.until, key=_at)
        if not self.token:
            return low, high
        if self.is_newest_first:
            return low, min(high, bisect_left(rows, self.token, key=_id_of))
        return max(low, bisect_right(rows, self.token, key=_id_of)), high

    def take(self, rows: Sequence[Fill] | Sequence[CashActivity], places: Sequence[int]) -> list[Fill | CashActivity]:
        """Return as many of the rows at these places as fit a page, in the page's order."""
        chosen = places[-self.size :][::-1] if self.is_newest_first else places[: self.size]
        return [rows[place] for place in chosen]


def _list(call: Call, types: Sequence[str]) -> Answer:
    """Answer one page: newest first unless ``direction=asc``, starting behind ``page_token``."""
    page = _page(call)
    book, order_id = call.broker.venue.book, call.query.get("order_id")
    low, high = page.cut(book.fills)
    fills: Sequence[int] = range(low, high) if not types or "FILL" in types else ()
    if order_id:
        of_order = book.fill_positions.get(order_id, [])
        fills = [place for place in of_order if place in fills]
    low, high = page.cut(book.cash_activities)
    cash = [
        place
        for place in (range(low, high) if not order_id else ())
        if not types or book.cash_activities[place].type in types
    ]
    found = merge(
        page.take(book.fills, fills),
        page.take(book.cash_activities, cash),
        key=_id_of,
        reverse=page.is_newest_first,
    )
    return Answer([_json(activity) for activity in list(found)[: page.size]])


def _json(activity: Fill | CashActivity) -> Json:
    return activity_json(activity) if isinstance(activity, Fill) else cash_activity_json(activity)


def _page(call: Call) -> _Page:
    """Return what is asked for: of one ``date``, or after ``after`` and before ``until``."""
    query = call.query
    size = whole_number(query, "page_size", PAGE_LIMIT, PAGE_LIMIT)
    is_newest_first = one_of(query, "direction", ("desc", "asc")) == "desc"
    day, after, until = (instant_of(query, name) for name in ("date", "after", "until"))
    if day is not None and (after is not None or until is not None):
        raise refuse("date cannot be used together with after or until")
    since = BEGINNING
    if day is not None:
        since = day.replace(hour=0, minute=0, second=0, microsecond=0)
        until = since + timedelta(days=1)
    return _Page(since, after or BEGINNING, until or END, query.get("page_token", ""), is_newest_first, size)
