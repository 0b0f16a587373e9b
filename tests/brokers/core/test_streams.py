"""When a stream that answers pings is believed no longer, and what a connection that stands by keeps."""

from collections import OrderedDict
from decimal import Decimal
from typing import NoReturn

from hypothesis import given
from hypothesis import strategies as st

from brokers.core.orders import Side
from brokers.core.reports import FillReport, OrderReport, ReportedStatus, StreamEvent
from brokers.core.streams import Backlog, MuteWatch, event_names, execution_names, order_names
from tests.brokers.core.test_stream_pair import event

LIMIT = 0.4


def watch(since: float = 0.0) -> MuteWatch:
    made = MuteWatch(LIMIT)
    made.begin(since)
    return made


def test_what_was_known_for_long_and_not_told_is_lost() -> None:
    mute = watch()
    mute.expect(order_names("a"), known_at=1.0, began_at=0.9)

    assert mute.overdue(1.0 + LIMIT - 0.01) is None
    assert mute.overdue(1.0 + LIMIT) == order_names("a")


def test_what_was_told_before_or_after_it_was_known_is_not_lost() -> None:
    mute = watch()
    mute.saw(event_names(event("early")))
    mute.expect(order_names("early"), known_at=1.0, began_at=0.9)
    mute.expect(order_names("late"), known_at=1.0, began_at=0.9)
    mute.saw(event_names(event("late")))

    assert mute.overdue(100.0) is None


def test_what_was_told_is_looked_up_and_not_walked_through() -> None:
    class Seen(OrderedDict[str, None]):
        def __iter__(self) -> NoReturn:
            raise AssertionError("an event costs as much as all the events before it")

    mute = watch()
    mute._seen = Seen(dict.fromkeys(f"client:{number}" for number in range(5)))
    mute.expect(order_names("3"), known_at=1.0, began_at=0.9)
    mute.expect(order_names("7"), known_at=1.0, began_at=0.9)

    assert mute.overdue(100.0) == order_names("7")


def test_one_of_its_names_is_enough() -> None:
    mute = watch()
    mute.expect(order_names("ours", "theirs"), known_at=1.0, began_at=0.9)
    mute.saw([order_names("", "theirs")])
    mute.expect(execution_names("activity-7", "theirs", Decimal("4.00")), known_at=1.0, began_at=0.9)
    mute.saw([execution_names("another-id", "theirs", Decimal(4))])

    assert mute.overdue(100.0) is None


def test_what_began_before_the_subscription_need_not_be_told() -> None:
    mute = watch(since=5.0)
    mute.expect(order_names("a"), known_at=5.5, began_at=4.9)
    assert mute.overdue(100.0) is None

    mute.expect(order_names("b"), known_at=5.5, began_at=5.1)
    mute.begin(6.0)
    assert mute.overdue(100.0) is None


def test_nothing_is_expected_without_a_subscription() -> None:
    mute = MuteWatch(LIMIT)
    mute.expect(order_names("a"), known_at=1.0, began_at=0.9)
    mute.begin(0.0)
    mute.end()
    mute.expect(order_names("b"), known_at=1.0, began_at=0.9)
    assert mute.overdue(100.0) is None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=60))
def test_exactly_what_was_expected_and_never_told_is_overdue(steps: list[tuple[str, bool]]) -> None:
    mute, expected, told = watch(), set[str](), set[str]()
    for name, is_told in steps:
        if is_told:
            told.add(name)
            mute.saw(event_names(event(name)))
        else:
            expected.add(name)
            mute.expect(order_names(name), known_at=1.0, began_at=0.9)

    lost = mute.overdue(2.0)
    assert (lost is None) == (expected <= told)
    assert lost is None or lost in {order_names(name) for name in expected - told}


def test_a_backlog_gives_what_is_young_enough_and_is_empty_then() -> None:
    backlog = Backlog(10.0)
    for number in range(5):
        backlog.keep(event(str(number)), now=float(number * 4))

    assert [one.order.client_order_id for one in backlog.take(20.0)] == ["3", "4"]
    assert backlog.take(20.0) == []


def test_an_event_with_a_fill_names_both() -> None:
    order = OrderReport("c", "b", ReportedStatus.FILLED, "AAPL", Side.BUY, Decimal(4))
    fill = FillReport("e", "b", "AAPL", Side.BUY, Decimal(4), Decimal(1), order.reported_at, "c", Decimal(4))  # type: ignore[arg-type]

    assert event_names(StreamEvent("fill", order, fill)) == (
        frozenset({"client:c", "broker:b"}),
        frozenset({"execution:e", "filled:b:4"}),
    )
