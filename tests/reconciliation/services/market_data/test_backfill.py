"""Backfills: the sources in turn, page by page, until nothing is missing or nobody has it."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from brokers.adapters.errors import BrokerCallError
from brokers.core.reports import BarPage, ReportedBar
from reconciliation.core.bars import stamp_text
from reconciliation.core.gaps import GapPolicy
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import (
    BackfillAttempt,
    Bar,
    BarConflict,
    BarRelease,
    BarSeries,
    Feed,
    FeedSubscription,
    Gap,
    QuestionableBar,
)
from reconciliation.services.market_data import backfill_job
from reconciliation.services.market_data.backfill_job import enqueue_backfills, enqueue_unfilled
from reconciliation.services.market_data.feeds import follow_feed_policies
from reconciliation.services.market_data.gap_decisions import accept_gap, retry_gap
from reconciliation.services.market_data.gap_watch import watch_gaps
from reconciliation.services.market_data.intake import Origin, Source, take_deliveries
from reconciliation.services.market_data.releases import release_waiting
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import FailureKind
from reliability.models import AuditEntry, Job
from tests.factories import make_lanes
from tests.fakes import make_due, run_due
from tests.reconciliation.market import BAD, MINUTE, scaled, walk
from tests.reconciliation.services.market_data.making import series_called

pytestmark = pytest.mark.django_db
BARS = walk(random.Random(5), 40)
STREAM = Source("sim-a", Origin.STREAM, late_seconds=7_200)


@dataclass
class Shelf:
    """What one source has, in pages of three; it fails while ``down``, and answers ``elsewhere`` whatever is asked."""

    bars: list[ReportedBar] = field(default_factory=list)
    elsewhere: list[ReportedBar] = field(default_factory=list)
    down: bool = False
    asked: int = 0

    async def fetch_bars(self, symbol, timeframe, start, end, token) -> BarPage:
        self.asked += 1
        if self.down:
            raise BrokerCallError(FailureKind.TRANSIENT, "BROKER_UNAVAILABLE", "down")
        wanted = [bar for bar in self.bars if start <= datetime.fromisoformat(bar.given["timestamp"]) <= end]
        wanted += self.elsewhere
        place = int(token or 0)
        return BarPage(tuple(wanted[place : place + 3]), str(place + 3) if place + 3 < len(wanted) else "")


@pytest.fixture
def shelves(monkeypatch) -> dict[str, Shelf]:
    make_lanes()
    found = {"sim-a": Shelf(), "sim-b": Shelf()}
    clock = SimpleNamespace(now=lambda: datetime.fromtimestamp(BARS[29].stamp + 62, UTC))
    monkeypatch.setattr(backfill_job, "timezone", clock)
    monkeypatch.setattr(backfill_job, "find_account", lambda name: SimpleNamespace(name=name))
    monkeypatch.setattr(backfill_job, "get_source", lambda address, account: found[address.account])
    return found


@pytest.fixture
def series() -> BarSeries:
    return delivered_series(GapPolicy.EVERY_SLOT)


def delivered_series(policy: GapPolicy) -> BarSeries:
    made = series_called("S", policy=policy)
    for priority, name in enumerate(("sim-a", "sim-b")):
        feed = Feed.objects.create(name=name, account=name, priority=priority)
        FeedSubscription.objects.create(feed=feed, series=made)
    return made


def reported(bars, **changes) -> list[ReportedBar]:
    return [ReportedBar("S", bar.delivery("S", **changes).given) for bar in bars]


def take(bars) -> None:
    moment = datetime.fromtimestamp(bars[-1].stamp + 61, UTC)
    take_deliveries(STREAM, Timeframe.MINUTE, [bar.delivery("S") for bar in bars], now=moment)


def lose(first: int = 10, last: int = 18) -> Gap:
    """Deliver a session with a hole, and return the gap."""
    take(BARS[:first])
    take(BARS[last:30])
    return Gap.objects.get()


def work() -> None:
    """Run every backfill that is due, and what follows from it."""
    while Job.objects.filter(state="ready", run_at__lte=datetime.now(UTC)).exists():
        run_due("market_data")


def states() -> list[str]:
    return list(Gap.objects.order_by("id").values_list("state", flat=True))


def test_a_gap_is_filled_from_the_primary_page_by_page_and_released_in_order(shelves, series):
    gap = lose()
    shelves["sim-a"].bars = reported(BARS)
    enqueue_backfills([gap.pk])
    work()

    assert states() == ["filled"]
    assert shelves["sim-b"].asked == 0
    assert list(BackfillAttempt.objects.values_list("usable", flat=True)) == [3, 3, 2]
    assert set(Bar.objects.filter(quality="backfilled").values_list("source", flat=True)) == {"sim-a"}
    moments = [int(moment.timestamp()) for moment in BarRelease.objects.values_list("opened_at", flat=True)]
    assert moments == [bar.stamp for bar in BARS[:30]]


def test_what_the_primary_lacks_comes_from_the_alternative(shelves, series):
    gap = lose()
    shelves["sim-a"].bars = reported(BARS[:13])
    shelves["sim-b"].bars = reported(BARS)
    enqueue_backfills([gap.pk])
    work()

    assert states() == ["filled"]
    sources = Bar.objects.filter(quality="backfilled").order_by("opened_at").values_list("source", flat=True)
    assert list(sources) == ["sim-a"] * 3 + ["sim-b"] * 5


@pytest.mark.parametrize("seconds", [-3600, -600, 3 * 3600])
def test_a_page_of_bars_of_another_time_is_held_and_fills_nothing(shelves, series, seconds):
    """A wrong zone or page: these numbers are true of another time, and good of none."""
    gap = lose()
    shelves["sim-a"].elsewhere = reported(shifted(BARS[10:18], seconds))
    shelves["sim-b"].bars = reported(BARS)
    before = dict(Bar.objects.values_list("opened_at", "close"))
    enqueue_backfills([gap.pk])
    work()

    assert states() == ["filled"]
    assert dict(Bar.objects.filter(quality="live").values_list("opened_at", "close")) == before
    assert set(Bar.objects.filter(quality="backfilled").values_list("source", flat=True)) == {"sim-b"}
    held = QuestionableBar.objects.filter(source="sim-a")
    assert {one.faults[0] for one in held} == {"not_asked_for"}
    assert (held.count(), shelves["sim-a"].asked) == (3, 1), "its further pages are not asked for"
    assert not BarConflict.objects.exists()
    attempt = BackfillAttempt.objects.get(source="sim-a")
    assert (attempt.given, attempt.usable, attempt.questionable) == (3, 0, 3)


def test_bars_of_the_asked_time_are_used_beside_others(shelves, series):
    gap = lose(10, 12)
    shelves["sim-a"].elsewhere = reported([*BARS[9:12]])
    enqueue_backfills([gap.pk])
    work()

    assert states() == ["filled"]
    assert [one.faults for one in QuestionableBar.objects.all()] == [["not_asked_for"]]


def shifted(bars, seconds):
    return [replace(bar, stamp=bar.stamp + seconds) for bar in bars]


def test_what_is_left_of_a_gap_that_is_split_while_it_is_filled_is_asked_for_too(shelves, series):
    gap = lose()
    shelves["sim-a"].bars = reported(BARS[12:14])
    shelves["sim-b"].bars = reported(BARS)
    now = datetime.now(UTC)
    enqueue_backfills([gap.pk])
    run_due("market_data")
    assert list(Gap.objects.order_by("started_at").values_list("state", "missing")) == [("filling", 2), ("found", 4)]

    enqueue_unfilled([series.pk], now)
    enqueue_unfilled([series.pk], now)
    for _ in range(4):
        work()
        make_due()
    assert set(states()) == {"filled"}
    moments = [int(moment.timestamp()) for moment in BarRelease.objects.values_list("opened_at", flat=True)]
    assert moments == [bar.stamp for bar in BARS[:30]]


def test_parts_of_a_gap_keep_who_was_asked_and_what_was_decided(shelves, series):
    gap = lose()
    Gap.objects.update(state="accepted", reason="halted", asked=["sim-a"])
    late = datetime.fromtimestamp(BARS[29].stamp + 61, UTC)
    take_deliveries(STREAM, Timeframe.MINUTE, [BARS[13].delivery("S")], now=late)

    part = Gap.objects.exclude(pk=gap.pk).get()
    assert (part.state, part.reason, part.asked, part.missing) == ("accepted", "halted", ["sim-a"], 4)


def test_a_gap_whose_job_is_gone_is_asked_for_again(shelves, series):
    gap = lose()
    shelves["sim-a"].bars = reported(BARS)
    Gap.objects.update(state="filling")
    found_at = Gap.objects.get().found_at

    assert enqueue_unfilled([series.pk], found_at + timedelta(seconds=50)) == 0
    assert enqueue_unfilled([series.pk], found_at + timedelta(seconds=60)) == 1
    Job.objects.update(unique_key=f"backfill:{gap.pk}:1:token")
    assert enqueue_unfilled([series.pk], found_at + timedelta(seconds=60)) == 0
    Job.objects.update(state="dead")
    assert enqueue_unfilled([series.pk], found_at + timedelta(seconds=60)) == 0
    Job.objects.update(state="ready")
    work()
    assert states() == ["filled"]


def test_a_source_that_is_down_is_asked_again_later_and_the_other_one_meanwhile(shelves, series):
    gap = lose()
    shelves["sim-a"].down = True
    shelves["sim-b"].bars = reported(BARS)
    enqueue_backfills([gap.pk])
    work()
    assert states() == ["filling"]

    make_due()
    work()
    assert states() == ["filled"]
    assert BackfillAttempt.objects.first().error_code == "BROKER_UNAVAILABLE"


def test_bars_that_nobody_has_are_given_up_and_consumers_go_on(shelves, series):
    gap = lose()
    enqueue_backfills([gap.pk])
    work()
    assert states() == ["unfillable"]
    assert BarRelease.objects.count() == 10

    assert release_waiting([series.pk]) == 12
    retry_gap(gap.pk, by="ann", reason="they have it now")
    shelves["sim-b"].bars = reported(BARS)
    work()
    assert states() == ["filled"]
    assert BarRelease.objects.count() == 30
    assert AuditEntry.objects.get().reason == "they have it now"


def test_where_nothing_was_traded_nothing_is_missing(shelves):
    delivered_series(GapPolicy.WHEN_TRADED)
    take(BARS[:10])
    gap = Gap.objects.create(
        series=BarSeries.objects.get(),
        started_at=datetime.fromtimestamp(BARS[10].stamp, UTC),
        ended_at=datetime.fromtimestamp(BARS[11].stamp, UTC),
        missing=2,
        cause="missing",
    )
    enqueue_backfills([gap.pk])
    work()

    assert states() == ["accepted"]


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        ("when_traded", "when_traded", "accepted"),
        ("when_traded", "every_slot", "unfillable"),
        ("", "when_traded", "unfillable"),
    ],
)
def test_what_a_missing_bar_means_is_each_feeds_to_say(shelves, series, first, second, state):
    gap = lose()
    Feed.objects.filter(name="sim-a").update(gap_policy=first)
    Feed.objects.filter(name="sim-b").update(gap_policy=second)
    enqueue_backfills([gap.pk])
    work()

    assert states() == [state]


def test_a_series_follows_its_primary_feed_and_is_its_own_without_one(series):
    sim_a = Feed.objects.filter(name="sim-a")
    sim_a.update(gap_policy="when_traded")
    assert (follow_feed_policies(), follow_feed_policies()) == (1, 0)
    assert BarSeries.objects.get().policy is GapPolicy.WHEN_TRADED
    take([*BARS[:10], *BARS[18:30]])
    assert not Gap.objects.exists(), "nothing was traded"

    sim_a.update(enabled=False)
    follow_feed_policies()
    assert BarSeries.objects.get().policy is GapPolicy.EVERY_SLOT
    Feed.objects.filter(name="sim-b").update(gap_policy="when_traded")
    follow_feed_policies()
    assert BarSeries.objects.get().policy is GapPolicy.WHEN_TRADED


def test_a_questionable_bar_is_asked_for_again_and_replaced(shelves, series):
    take(BARS[:29])
    bad = BARS[29].delivery("S", **scaled(BARS[29], 10))
    moment = datetime.fromtimestamp(BARS[29].stamp + 61, UTC)
    take_deliveries(STREAM, Timeframe.MINUTE, [bad], now=moment)
    gap = Gap.objects.get()
    assert (gap.cause, gap.missing) == ("questionable", 1)
    shelves["sim-a"].bars = reported(BARS[29:30], **scaled(BARS[29], 10))
    shelves["sim-b"].bars = reported(BARS[29:30])
    enqueue_backfills([gap.pk])
    work()

    assert states() == ["filled"]
    assert Bar.objects.get(opened_at=datetime.fromtimestamp(BARS[29].stamp, UTC)).source == "sim-b"


def test_bad_bars_of_a_backfill_are_not_used_either(shelves, series):
    gap = lose()
    shelves["sim-a"].bars = reported(BARS[10:18], high="0.01")
    shelves["sim-b"].bars = reported(BARS[10:18], volume="-1")
    enqueue_backfills([gap.pk])
    work()

    assert Bar.objects.count() == 22
    assert states()[0] == "unfillable"


def test_a_person_accepts_a_gap_and_consumers_go_on(shelves, series):
    gap = lose()
    accept_gap(gap.pk, by="ann", reason="halted")

    assert states() == ["accepted"]
    assert BarRelease.objects.count() == 22
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.reason) == ("ann", "gap.decide", "halted")
    Gap.objects.update(state="filled")
    with pytest.raises(ReliabilityError):
        accept_gap(gap.pk, by="ann", reason="again")


def test_after_bad_bars_of_any_kind_every_true_one_reaches_consumers_in_order(shelves, series, monkeypatch):
    """No source can be asked while the stream brings them; then all can."""
    draw = random.Random(1)
    bars = walk(draw, 120)
    end = datetime.fromtimestamp(bars[-1].stamp + 2 * MINUTE - 1, UTC)
    monkeypatch.setattr(backfill_job, "timezone", SimpleNamespace(now=lambda: end))
    for shelf in shelves.values():
        shelf.down = True
    kinds = [(kind, corrupt) for kind, corrupt in BAD.items() if kind not in ("no time", "tomorrow", "market closed")]
    draw.shuffle(kinds)

    def come(place: int, **changes: object) -> None:
        given = {"timestamp": stamp_text(bars[place].stamp)} | changes
        take_deliveries(STREAM, Timeframe.MINUTE, [bars[place].delivery("S", **given)], now=end)
        work()

    for place in range(40):
        come(place)
    for number, (_, corrupt) in enumerate(kinds):
        place = 40 + 3 * number
        come(place, **corrupt(bars[place], bars[place - 1], draw))
        come(place + 2)
        if draw.random() < 0.5:
            come(place + 1)
        if draw.random() < 0.5:
            come(place + 2)

    for shelf in shelves.values():
        shelf.down, shelf.bars = False, reported(bars)
    watch_gaps([series.pk], end)
    for _ in range(40):
        make_due()
        enqueue_unfilled([series.pk], end)
        work()
        release_waiting([series.pk])
        if not Gap.objects.filter(state__in=["found", "filling", "unfillable"]).exists():
            break

    assert list(Gap.objects.exclude(state="filled").values_list("started_at", "state", "cause")) == []
    used = {int(bar.opened_at.timestamp()): float(bar.close) for bar in Bar.objects.all()}
    assert used == {bar.stamp: bar.numbers[3] for bar in bars}
    moments = [
        int(moment.timestamp()) for moment in BarRelease.objects.order_by("seq").values_list("opened_at", flat=True)
    ]
    assert list(dict.fromkeys(moments)) == [bar.stamp for bar in bars]
