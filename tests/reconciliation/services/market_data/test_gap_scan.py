"""The historic scan: no false gap, and each missing bar, exactly."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import call_command

from reconciliation.core.bars import stamp_text
from reconciliation.core.gaps import GapPolicy
from reconciliation.core.slots import DailyStamp, Stamping, daily_stamp
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Bar, BarSeries, Gap, GapEvent
from reconciliation.services.market_data.bar_import import ImportRequest, import_bars
from reconciliation.services.market_data.calendars import calendar_between
from reconciliation.services.market_data.gap_scan import scan_gaps

pytestmark = pytest.mark.django_db


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def expected(calendar: str, timeframe: Timeframe, first: str, last: str, stamping: Stamping | None = None) -> list[int]:
    found = calendar_between(calendar, at(first), at(last)).grid(timeframe, stamping or Stamping())
    return [*found.between(at(first) - 1, at(last))]


def scanned(capsys, **options) -> list[dict]:
    capsys.readouterr()
    call_command("gaps", "scan", json=True, **options)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def load(path, timeframe, calendar, symbol="S", policy=GapPolicy.EVERY_SLOT):
    return import_bars(ImportRequest(path, symbol, timeframe, calendar, policy), actor="test")


@pytest.mark.parametrize(
    ("calendar", "timeframe", "first", "last", "stamping"),
    [
        ("FX", Timeframe.HOUR, "2023-10-20 05:00", "2024-04-05 12:00", Stamping()),  # both clock changes, holidays
        ("XNAS", Timeframe.QUARTER, "2024-06-28 13:30", "2024-07-09 20:00", Stamping()),  # early close, Fourth of July
        ("XNAS", Timeframe.HOUR, "2024-11-20 14:30", "2024-12-05 20:00", Stamping(offset=1800)),  # Thanksgiving
        ("XHKG", Timeframe.FIVE_MINUTES, "2024-02-07 01:30", "2024-02-16 08:00", Stamping()),  # lunch, New Year
        ("24/7", Timeframe.MINUTE, "2024-03-09 00:00", "2024-03-11 00:00", Stamping()),
    ],
)
def test_closed_markets_are_no_gaps_and_each_bar_taken_out_is_found(
    bar_file, capsys, calendar, timeframe, first, last, stamping
):
    stamps = expected(calendar, timeframe, first, last, stamping)
    load(bar_file(stamps), timeframe, calendar)
    assert scanned(capsys) == []

    removed = [*stamps[40:43], stamps[70]]
    Bar.objects.filter(opened_at__in=[datetime.fromtimestamp(one, UTC) for one in removed]).delete()
    facts = {"symbol": "S", "timeframe": timeframe.value}
    assert scanned(capsys) == [
        {**facts, "start": stamp_text(stamps[40]), "end": stamp_text(stamps[42]), "missing": 3},
        {**facts, "start": stamp_text(stamps[70]), "end": stamp_text(stamps[70]), "missing": 1},
    ]


def test_missing_bars_on_both_sides_of_a_weekend_are_one_gap(bar_file, capsys):
    stamps = expected("FX", Timeframe.HOUR, "2024-07-01 00:00", "2024-07-12 00:00")
    friday, sunday = at("2024-07-05 20:00"), at("2024-07-07 21:00")
    load(bar_file([one for one in stamps if one not in (friday - 3600, friday, sunday)]), Timeframe.HOUR, "FX")

    (gap,) = scanned(capsys)
    assert (gap["start"], gap["end"], gap["missing"]) == ("2024-07-05T19:00:00Z", "2024-07-07T21:00:00Z", 3)


@pytest.mark.parametrize("way", list(DailyStamp))
def test_daily_bars_are_found_however_they_are_stamped(bar_file, capsys, way):
    calendar = calendar_between("XNAS", at("2023-10-02"), at("2024-03-28"))
    days = [one for one in calendar.sessions if date(2023, 10, 2) <= one.day <= date(2024, 3, 28)]
    missing = [number for number, one in enumerate(days) if one.day in (date(2023, 11, 24), date(2024, 1, 16))]
    stamps = [daily_stamp(one, way, calendar.zone) for one in days]
    load(bar_file([one for number, one in enumerate(stamps) if number not in missing]), Timeframe.DAY, "XNAS")

    found = scanned(capsys)
    assert [(gap["start"], gap["missing"]) for gap in found] == [(stamp_text(stamps[n]), 1) for n in missing]


def test_a_whole_session_is_one_gap_and_the_months_have_no_seam(bar_file, capsys):
    stamps = expected("XNAS", Timeframe.QUARTER, "2024-01-30 14:30", "2024-02-02 21:00")
    gone = [one for one in stamps if at("2024-02-01") <= one < at("2024-02-02")]
    load(bar_file([one for one in stamps if one not in gone]), Timeframe.QUARTER, "XNAS")

    (gap,) = scanned(capsys)
    assert (gap["start"], gap["end"], gap["missing"]) == (stamp_text(gone[0]), stamp_text(gone[-1]), 26)


def test_a_symbol_that_did_not_trade_has_no_gap_but_a_day_without_any_bar_is_one(bar_file, capsys):
    stamps = expected("XNAS", Timeframe.QUARTER, "2024-07-08 13:30", "2024-07-12 20:00")
    thin = [one for one in stamps[::5] if not at("2024-07-10") <= one < at("2024-07-11")]
    load(bar_file([stamps[0], *thin[1:], stamps[-1]]), Timeframe.QUARTER, "XNAS", policy=GapPolicy.WHEN_TRADED)

    (gap,) = scanned(capsys)
    assert gap["start"] <= "2024-07-10T13:30:00Z"
    assert gap["end"] >= "2024-07-10T19:45:00Z"


def test_one_symbol_alone_can_be_asked_for(bar_file, capsys):
    stamps = expected("FX", Timeframe.HOUR, "2024-07-01 00:00", "2024-07-02 00:00")
    for symbol in ("A", "B"):
        load(bar_file(stamps[:5] + stamps[6:]), Timeframe.HOUR, "FX", symbol)

    assert {gap["symbol"] for gap in scanned(capsys)} == {"A", "B"}
    assert {gap["symbol"] for gap in scanned(capsys, symbol="B")} == {"B"}


def test_gaps_are_rows_that_shrink_split_and_are_filled_as_data_arrives(bar_file):
    stamps = expected("FX", Timeframe.HOUR, "2024-07-01 00:00", "2024-07-03 00:00")
    gone = stamps[10:15]
    load(bar_file([one for one in stamps if one not in gone]), Timeframe.HOUR, "FX")
    scan_gaps()
    first = Gap.objects.get()

    load(bar_file([gone[2]]), Timeframe.HOUR, "FX")
    scan_gaps()
    assert list(Gap.objects.order_by("started_at").values_list("missing", "state")) == [(2, "found"), (2, "found")]
    load(bar_file(gone), Timeframe.HOUR, "FX")
    scan_gaps()
    assert set(Gap.objects.values_list("state", flat=True)) == {"filled"}
    assert list(GapEvent.objects.filter(gap=first).values_list("what", flat=True)) == ["found", "resized", "filled"]


def test_an_accepted_gap_is_not_told_again(bar_file, capsys):
    stamps = expected("FX", Timeframe.HOUR, "2024-07-01 00:00", "2024-07-03 00:00")
    load(bar_file(stamps[:10] + stamps[12:]), Timeframe.HOUR, "FX")
    scan_gaps()
    Gap.objects.update(state="accepted")

    assert scanned(capsys) == []
    assert Gap.objects.get().state == "accepted"


def test_the_scan_leaves_a_watermark(bar_file):
    stamps = expected("FX", Timeframe.HOUR, "2024-07-01 00:00", "2024-07-03 00:00")
    load(bar_file(stamps), Timeframe.HOUR, "FX")
    scan_gaps()

    until = BarSeries.objects.get().checked_until
    assert until == datetime.fromtimestamp(stamps[-1], UTC)
    assert until < datetime.now(UTC) - timedelta(days=1)
