"""Bars out of files: everything or nothing, and what becomes of each row."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from django.core.management import CommandError, call_command

from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Bar, BarRelease, BarRevision, BarSeries, QuestionableBar
from reconciliation.services.market_data.bar_import import BadRowsError, ImportRequest, import_bars
from reconciliation.services.market_data.partitions import list_partitions
from reliability.core.errors import ReliabilityError

pytestmark = pytest.mark.django_db
HEADER = "timestamp,open,high,low,close,volume"


def load(path: Path, timeframe: Timeframe = Timeframe.HOUR, calendar: str = "FX", symbol: str = "EURUSD"):
    return import_bars(ImportRequest(path, symbol, timeframe, calendar), actor="test")


def written(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_bars_are_stored_as_written_utc_unless_an_offset_is_given(tmp_path):
    path = written(
        tmp_path,
        "2024-07-02 10:00:00,1.0716,1.0722,1.07083,1.07219,1413",
        "2024-07-02T13:00:00+02:00,1.0722,1.0730,1.0721,1.0725,0",
        "2024-07-02T12:00:00Z,1.0725,1.0730,1.0721,1.0722,5",
    )

    assert load(path).new == 3
    bars = list(Bar.objects.order_by("opened_at"))
    assert [bar.opened_at.hour for bar in bars] == [10, 11, 12]
    assert (bars[0].open, bars[0].close, bars[0].volume) == (Decimal("1.0716"), Decimal("1.07219"), 1413)
    assert bars[0].opened_at == datetime(2024, 7, 2, 10, tzinfo=UTC)


def test_each_bad_row_is_told_with_its_line_and_nothing_is_written(tmp_path, capsys):
    path = written(
        tmp_path,
        "2024-07-02 10:00,1,2,0.5,1.5,10",
        "yesterday,1,2,0.5,1.5,10",
        "2024-07-02 12:00,1,2,0.5,abc,10",
        "2024-07-02 13:00,1,0.9,0.5,0.8,10",
        "2024-07-02 14:00,1,2,0.5",
        "2024-07-02 15:00,nan,2,0.5,1.5,10",
        "2024-07-02 16:00,1,2,0.5,1.5,",
        "2924-07-02 16:00,1,2,0.5,1.5,10",
    )

    with pytest.raises(CommandError, match="Nothing was imported: 7 rows"):
        call_command("bars", "import", str(path), symbol="EURUSD", timeframe="1Hour", calendar="FX", quiet=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"line {number}" for number in range(3, 10)]
    assert "timestamp is not an ISO 8601 instant" in lines[0]
    assert "close is not a number" in lines[1]
    assert "high is below another price" in lines[2]
    assert "volume is empty" in lines[5]
    assert not Bar.objects.exists()
    assert not BarSeries.objects.exists()


def test_a_stamp_that_comes_twice_is_a_bad_row(tmp_path):
    path = written(tmp_path, "2024-07-02 10:00,1,2,0.5,1.5,10", "2024-07-02 12:00+02:00,1,2,0.5,1.5,10")

    with pytest.raises(BadRowsError) as raised:
        load(path)
    assert raised.value.problems == ["line 3: timestamp 2024-07-02T10:00:00Z is that of line 2 too"]


@pytest.mark.parametrize(
    ("header", "message"),
    [("time,open,high,low,close,volume", "no column timestamp"), ("", "no column timestamp, open, high")],
)
def test_a_file_that_lacks_a_column_is_refused_in_one_line(tmp_path, header, message):
    with pytest.raises(ReliabilityError) as raised:
        load(written(tmp_path, header=header))
    assert message in raised.value.message


def test_unknown_calendars_and_kinds_of_files_are_refused(tmp_path):
    path = written(tmp_path, "2024-07-02 10:00,1,2,0.5,1.5,10")
    other = tmp_path / "bars.xlsx"
    other.write_text("x")

    with pytest.raises(ReliabilityError, match="There is no calendar called 'XXXX'"):
        load(path, calendar="XXXX")
    with pytest.raises(ReliabilityError, match=r"neither \.csv nor \.parquet"):
        load(other)
    with pytest.raises(ReliabilityError, match="cannot be read: No such file"):
        load(tmp_path / "missing.csv")


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_parquet_holds_the_same_bars_as_csv(tmp_path, zone):
    moment = datetime(2024, 7, 2, 10)  # noqa: DTZ001
    table = pyarrow.table(
        {
            "timestamp": pyarrow.array([moment], pyarrow.timestamp("ns", tz=zone)),
            "open": [1.0716],
            "high": [1.0722],
            "low": [1.07083],
            "close": [1.07219],
            "volume": [1413],
        }
    )
    path = tmp_path / "bars.parquet"
    pyarrow.parquet.write_table(table, path)

    assert load(path).new == 1
    bar = Bar.objects.get()
    assert bar.opened_at == datetime(2024, 7, 2, 10, tzinfo=UTC)
    assert (bar.open, bar.close) == (Decimal("1.0716"), Decimal("1.07219"))


def test_bad_rows_of_a_parquet_file_are_told_by_number(tmp_path):
    columns = {name: [1.0, None] for name in ("open", "high", "low", "close", "volume")}
    path = tmp_path / "bars.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"timestamp": ["2024-07-02", "2024-07-03"], **columns}), path)

    with pytest.raises(BadRowsError) as raised:
        load(path, Timeframe.DAY)
    assert raised.value.problems == ["row 2: open is empty"]


def test_the_same_file_again_changes_nothing_and_other_numbers_are_a_revision(tmp_path):
    first = "2024-07-02 10:00,1,2,0.5,1.5,10"
    load(written(tmp_path, first, "2024-07-02 11:00,1.5,2,0.5,1.5,10"))
    again = load(written(tmp_path, first, "2024-07-02 11:00,1.5,2,0.5,1.6,12"))

    assert (again.new, again.unchanged, again.revised) == (0, 1, 1)
    old, now = BarRevision.objects.get(), Bar.objects.get(opened_at="2024-07-02T11:00Z")
    assert (old.revision, old.close, old.volume) == (1, Decimal("1.5"), 10)
    assert (now.revision, now.close, now.quality) == (2, Decimal("1.6"), "revised")
    released = BarRelease.objects.values_list("opened_at__hour", "revision")
    assert list(released) == [(10, 1), (11, 1), (11, 2)]


def test_rows_in_any_order_are_the_same_bars(tmp_path):
    rows = [f"2024-07-02 {hour:02d}:00,1,2,0.5,1.{hour},10" for hour in (12, 10, 11)]
    result = load(written(tmp_path, *rows))

    assert (result.rows, result.new) == (3, 3)
    assert list(BarRelease.objects.values_list("opened_at__hour", flat=True)) == [10, 11, 12]


def test_a_price_ten_times_too_high_is_kept_and_not_used(tmp_path):
    rows = [f"2024-07-02 {hour:02d}:00,100,101,99,100,{hour + 1}" for hour in range(20)]
    rows[12] = "2024-07-02 12:00,1000,1010,990,1000,13"
    result = load(written(tmp_path, *rows))

    assert result.questionable == ["2024-07-02T12:00:00Z: extreme"]
    held = QuestionableBar.objects.get()
    assert (held.given["close"], held.faults, held.state) == ("1000", ["extreme"], "held")
    assert not Bar.objects.filter(opened_at="2024-07-02T12:00Z").exists()


def test_a_series_keeps_its_calendar(tmp_path):
    path = written(tmp_path, "2024-07-02 10:00,1,2,0.5,1.5,10")
    load(path)

    with pytest.raises(ReliabilityError, match="known with the calendar FX"):
        load(path, calendar="24/7")


def test_bars_lie_in_months_and_past_years_of_daily_bars_in_one_piece(tmp_path):
    load(written(tmp_path, "2024-07-02 10:00,1,2,0.5,1.5,10"))
    load(written(tmp_path, "2012-07-02,1,2,0.5,1.5,10", "2012-09-04,1,2,0.5,1.5,10"), Timeframe.DAY, "XNAS", "MSFT")

    assert {"reconciliation_bar_y2012", "reconciliation_bar_y2024m07"} <= set(list_partitions())
