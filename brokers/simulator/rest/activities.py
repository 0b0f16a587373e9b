"""/v2/account/activities: the fills, in order, with the activity id as a cursor."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from brokers.simulator.gate import Answer, Call
from brokers.simulator.query import instant_of, names_of, one_of, whole_number
from brokers.simulator.requests import refuse
from brokers.simulator.wire import activity_json

PAGE_LIMIT = 100
BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


def list_activities(call: Call) -> Answer:
    types = names_of(call.query, "activity_types")
    return list_fills(call) if not types or "FILL" in types else Answer([])


def list_activities_of_type(call: Call) -> Answer:
    return list_fills(call) if call.path_value("activity_type") == "FILL" else Answer([])


def list_fills(call: Call) -> Answer:
    """Answer one page of fills: newest first unless ``direction=asc``, starting behind ``page_token``."""
    query = call.query
    size = whole_number(query, "page_size", PAGE_LIMIT, PAGE_LIMIT)
    is_newest_first = one_of(query, "direction", ("desc", "asc")) == "desc"
    low, high = _window(call)
    fills = call.broker.venue.book.fills
    token = query.get("page_token")
    if token:
        position = bisect_left(fills, token, key=lambda fill: fill.activity_id)
        is_known = position < len(fills) and fills[position].activity_id == token
        low, high = (low, min(high, position)) if is_newest_first else (max(low, position + is_known), high)
    positions: Sequence[int] = range(low, high)
    if query.get("order_id"):
        of_order = call.broker.venue.book.fill_positions.get(query["order_id"], [])
        positions = [position for position in of_order if low <= position < high]
    page = positions[-size:][::-1] if is_newest_first else positions[:size]
    return Answer([activity_json(fills[position]) for position in page])


def _window(call: Call) -> tuple[int, int]:
    """Return the range of fills after ``after`` and before ``until`` (both exclusive), or those of one ``date``."""
    query, fills = call.query, call.broker.venue.book.fills
    day = instant_of(query, "date")
    after, until = instant_of(query, "after"), instant_of(query, "until")
    if day is not None and (after is not None or until is not None):
        raise refuse("date cannot be used together with after or until")
    if day is not None:
        start = day.replace(hour=0, minute=0, second=0, microsecond=0)
        end = start + timedelta(days=1)
        return bisect_left(fills, start, key=lambda f: f.at), bisect_left(fills, end, key=lambda f: f.at)
    return (
        bisect_right(fills, after or BEGINNING, key=lambda fill: fill.at),
        bisect_left(fills, until or END, key=lambda fill: fill.at),
    )
