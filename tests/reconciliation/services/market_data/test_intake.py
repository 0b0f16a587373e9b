"""What feeds deliver: bad bars are never used, odd but true ones are, consumers get each once and in order."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from reconciliation.core.bars import FIELDS, stamp_text
from reconciliation.core.deliveries import Delivery
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Bar, BarConflict, BarRelease, BarRevision, Gap, QuestionableBar
from reconciliation.services.market_data.gap_watch import watch_gaps
from reconciliation.services.market_data.intake import Intake, Origin, Source, take_deliveries
from tests.reconciliation.market import BAD, MINUTE, make_odd, scaled, shift, walk
from tests.reconciliation.services.market_data.making import series_called

pytestmark = pytest.mark.django_db
STREAM = Source("sim-a", Origin.STREAM, late_seconds=7_200)
OTHER = Source("sim-b", Origin.BACKFILL)


def take(deliveries: list[Delivery], source: Source = STREAM, now: int | None = None) -> Intake:
    moment = now or max(delivery.stamp() or 0 for delivery in deliveries) + MINUTE + 1
    return take_deliveries(source, Timeframe.MINUTE, deliveries, now=datetime.fromtimestamp(moment, UTC))


def stored(symbol: str) -> dict[int, tuple[float, ...]]:
    rows = Bar.objects.filter(series__symbol=symbol)
    return {int(row.opened_at.timestamp()): tuple(float(getattr(row, name)) for name in FIELDS) for row in rows}


@pytest.mark.parametrize("seed", range(5))
def test_of_three_thousand_bad_bars_of_24_kinds_none_is_used(seed):
    draw = random.Random(seed)
    for number in range(25):
        symbol = f"S{seed}-{number}"
        series_called(symbol)
        bars = walk(draw, 110, price=draw.choice([1.5, 20.0, 100.0, 4000.0]))
        deliveries, bad, lost = [], [], set()
        places = draw.sample(range(35, 108, 3), len(BAD))
        for place, (kind, corrupt) in zip(places, BAD.items(), strict=True):
            given = {"timestamp": stamp_text(bars[place].stamp)}
            given |= corrupt(bars[place], bars[place - 1], draw)
            bad.append((kind, bars[place].delivery(symbol, **given)))
            lost.add(place)
        deliveries = [bar.delivery(symbol) for place, bar in enumerate(bars) if place not in lost]
        take(deliveries[:30])
        take(
            sorted([*deliveries[30:], *(one for _, one in bad)], key=lambda one: str(one.given["timestamp"])),
            now=bars[-1].stamp + 61,
        )

        true = {bar.stamp: bar.numbers for bar in bars}
        used = [stamp for stamp, numbers in stored(symbol).items() if true.get(stamp) != numbers]
        assert used == [], [(kind, one.given) for kind, one in bad if one.stamp() in used]
        assert len(stored(symbol)) == len(deliveries)
        assert QuestionableBar.objects.filter(symbol=symbol).count() == len(BAD)


@pytest.mark.parametrize("seed", range(2))
def test_bad_bars_that_come_one_by_one_in_any_order_are_not_used(seed):
    draw = random.Random(seed)
    series_called("S")
    bars = walk(draw, 115)
    kinds = list(BAD.items())
    draw.shuffle(kinds)
    bad = {place: corrupt for place, (_, corrupt) in zip(range(35, 113, 3), kinds, strict=False)}
    end = bars[-1].stamp + 61
    take([bar.delivery("S") for bar in bars[:34]], now=end)
    for place in range(34, 115):
        given = {"timestamp": stamp_text(bars[place].stamp)}
        if place in bad:
            given |= bad[place](bars[place], bars[place - 1], draw)
        take([bars[place].delivery("S", **given)], now=end)

    true = {bar.stamp: bar.numbers for bar in bars}
    assert [stamp for stamp, numbers in stored("S").items() if true.get(stamp) != numbers] == []


def test_a_bad_print_that_the_next_bar_refuted_is_not_believed_when_prices_are_elsewhere_later():
    bars = walk(random.Random(3), 60)
    series_called("S")
    end = bars[-1].stamp + 61
    take([bar.delivery("S") for bar in bars[:40]], now=end)
    for place in (40, 41, 42, 43):
        factor = {40: 1.3, 42: 10.0}.get(place, 1.0)
        take([bars[place].delivery("S", **scaled(bars[place], factor))], now=end)

    assert not {bars[40].stamp, bars[42].stamp} & set(stored("S"))
    assert list(QuestionableBar.objects.order_by("stamp").values_list("faults", flat=True)) == [["spike"], ["extreme"]]


def test_a_bar_of_a_month_that_was_dropped_meanwhile_is_written(django_capture_on_commit_callbacks):
    bars = walk(random.Random(1), 3)
    series_called("S")
    with django_capture_on_commit_callbacks(execute=True):
        take([bars[0].delivery("S")])
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE reconciliation_bar_y2024m07")  # as the upkeep of another process does

    assert take([bar.delivery("S") for bar in bars[1:]]).new == [bar.stamp for bar in bars[1:]]
    assert stored("S").keys() == {bar.stamp for bar in bars[1:]}


def test_an_unknown_symbol_is_kept_aside():
    (bar,) = walk(random.Random(1), 1)

    assert take([bar.delivery("NOBODY")]).held == 1
    assert QuestionableBar.objects.get().faults == ["unknown_symbol"]


@pytest.mark.parametrize(("hours", "fault"), [(1, "future"), (-1, "too_late")])
def test_a_live_bar_an_hour_off_is_in_the_wrong_zone(hours, fault):
    bars = walk(random.Random(2), 100)
    series_called("S")
    source = Source("sim-a", Origin.STREAM)
    take([bars[80].delivery("S")], source)
    wrong = bars[81].delivery("S", timestamp=stamp_text(bars[81].stamp + hours * 3600))
    take([wrong], source, now=bars[81].stamp + 61)

    assert stored("S").keys() == {bars[80].stamp}
    assert QuestionableBar.objects.get().faults == [fault]


def test_odd_but_true_bars_are_used():
    draw = random.Random(11)
    for number in range(8):
        symbol = f"T{number}"
        series_called(symbol)
        bars = walk(draw, 120)
        make_odd(draw, bars)
        take([bar.delivery(symbol) for bar in bars])
        assert stored(symbol).keys() == {bar.stamp for bar in bars}


def test_a_far_price_waits_for_the_next_bar_which_confirms_it():
    bars = walk(random.Random(3), 40)
    shift(bars, 35, 1.05, 1000.0)
    series_called("S")
    take([bar.delivery("S") for bar in bars[:35]])

    assert take([bars[35].delivery("S")]).held == 1
    assert bars[35].stamp not in stored("S")
    take([bars[36].delivery("S")])
    assert stored("S").keys() == {bar.stamp for bar in bars[:37]}
    assert Bar.objects.get(opened_at=datetime.fromtimestamp(bars[35].stamp, UTC)).quality == "confirmed"
    assert QuestionableBar.objects.get().state == "confirmed"


def test_a_far_price_that_comes_back_stays_aside():
    bars = walk(random.Random(3), 40)
    series_called("S")
    take([bar.delivery("S") for bar in bars[:35]])
    take([bars[35].delivery("S", **scaled(bars[35], 1.05))])
    take([bars[36].delivery("S")])

    assert bars[35].stamp not in stored("S")
    assert bars[36].stamp in stored("S")
    assert QuestionableBar.objects.get().state == "held"


def test_another_source_that_says_the_same_confirms_an_extreme_price():
    bars = walk(random.Random(4), 40)
    series_called("S")
    take([bar.delivery("S") for bar in bars[:35]])
    far = bars[35].delivery("S", **scaled(bars[35], 8))
    take([far])
    assert bars[35].stamp not in stored("S")

    take([far], OTHER)
    assert bars[35].stamp in stored("S")


def test_a_revision_of_the_source_replaces_a_bar_and_keeps_the_old_one():
    bars = walk(random.Random(5), 30)
    series_called("S")
    take([bar.delivery("S") for bar in bars])
    late = bars[20].delivery("S", volume=1999.0)
    result = take([Delivery("S", late.given, is_revision=True)], now=bars[-1].stamp + 200)

    assert result.revised == [bars[20].stamp]
    assert stored("S")[bars[20].stamp][4] == 1999.0
    assert BarRevision.objects.get().volume == Decimal(str(bars[20].numbers[4]))
    assert list(BarRelease.objects.order_by("-seq").values_list("revision", flat=True)[:1]) == [2]


def test_two_sources_that_differ_are_a_conflict_and_the_recorded_bar_stays():
    bars = walk(random.Random(6), 30)
    series_called("S")
    take([bar.delivery("S") for bar in bars])
    result = take([bars[20].delivery("S", close=bars[20].numbers[0])], OTHER, now=bars[-1].stamp + 200)

    assert result.conflicts == 1
    assert stored("S")[bars[20].stamp] == bars[20].numbers
    conflict = BarConflict.objects.get()
    assert (conflict.recorded_source, conflict.given_source) == ("sim-a", "sim-b")


def released() -> list[int]:
    moments = BarRelease.objects.order_by("seq").values_list("opened_at", flat=True)
    return [int(moment.timestamp()) for moment in moments]


def test_after_five_minutes_of_silence_bars_wait_for_the_missing_ones_and_come_in_order_once():
    bars = walk(random.Random(8), 60)
    series_called("S")
    take([bar.delivery("S") for bar in bars[:20]])
    take([bar.delivery("S") for bar in bars[25:28]])
    (gap,) = Gap.objects.all()
    assert (gap.missing, gap.state) == (5, "found")
    assert released() == [bar.stamp for bar in bars[:20]]

    draw = random.Random(9)
    late = [bar.delivery("S") for bar in bars[18:27]]
    draw.shuffle(late)
    take(late[:4], OTHER, now=bars[28].stamp)
    take(late, OTHER, now=bars[28].stamp)
    take([bar.delivery("S") for bar in bars[28:]])
    assert released() == [bar.stamp for bar in bars]
    assert set(Gap.objects.values_list("state", flat=True)) == {"filled"}


def test_a_gap_that_was_given_up_holds_nobody_back_and_its_bars_may_still_come():
    bars = walk(random.Random(8), 30)
    series_called("S")
    take([bar.delivery("S") for bar in bars[:10]])
    take([bar.delivery("S") for bar in bars[12:14]])
    Gap.objects.update(state="unfillable")
    take([bars[14].delivery("S")])
    assert released() == [bar.stamp for bar in (*bars[:10], *bars[12:15])]

    take([bar.delivery("S") for bar in bars[10:12]], OTHER, now=bars[14].stamp + 62)
    assert released()[-2:] == [bars[10].stamp, bars[11].stamp]
    assert Gap.objects.get().state == "filled"


def test_bars_that_never_came_are_missing_once_they_are_due():
    bars = walk(random.Random(8), 10)
    series = series_called("S")
    take([bar.delivery("S") for bar in bars])
    moment = datetime.fromtimestamp(bars[-1].stamp, UTC) + timedelta(minutes=4, seconds=6)
    watch_gaps([series.pk], moment - timedelta(minutes=2, seconds=2))
    assert not Gap.objects.exists()
    watch_gaps([series.pk], moment)
    assert Gap.objects.get().missing == 3
    watch_gaps([series.pk], moment + timedelta(minutes=1))
    assert Gap.objects.get().missing == 4


def test_what_is_missing_before_the_first_bar_of_a_subscribed_series_is_a_gap():
    series = series_called("S")
    bars = walk(random.Random(3), 10)
    series.checked_until = datetime.fromtimestamp(bars[1].stamp, UTC)
    series.save(update_fields=["checked_until"])
    take([bars[5].delivery("S")])

    gap = Gap.objects.get()
    assert (gap.started_at.timestamp(), gap.ended_at.timestamp(), gap.missing) == (bars[2].stamp, bars[4].stamp, 3)
