"""Find missing bars: ``make bench-gaps``. A full scan of the history, and the step that follows new bars.

Minute bars of many symbols over 30 sessions of XNAS, with a seeded share of them missing; every way must find
exactly those. Our scan also records each gap as a row, the ways beside it only name them. Figures depend on the
machine; the exit status is 1 when a way finds something else than what was taken out.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.measure import Noise
from benchmarks.peers.stanchion import environment
from benchmarks.services import Services

FIRST, LAST = datetime(2024, 10, 21, tzinfo=UTC), datetime(2024, 12, 4, tzinfo=UTC)  # with an early close
SESSIONS = 30
_GRID_WAY = """
WITH grid AS (SELECT s.id, g.stamp FROM reconciliation_barseries s CROSS JOIN bench_grid g)
SELECT count(*) FROM grid LEFT JOIN reconciliation_bar b ON b.series_id = grid.id AND b.opened_at = grid.stamp
WHERE b.series_id IS NULL
"""
_SORT_WAY = """
SELECT count(*), sum(extract(epoch FROM following - opened_at) / 60 - 1) FROM (
    SELECT opened_at, lead(opened_at) OVER (PARTITION BY series_id, opened_at::date ORDER BY opened_at) AS following
    FROM reconciliation_bar) bar
WHERE following <> opened_at + interval '1 minute'
"""
_MINUTE = """
INSERT INTO reconciliation_bar (series_id, opened_at, revision, open, high, low, close, volume, source, quality)
SELECT id, to_timestamp(%s), 1, 100, 101, 99, 100, 10, 'bench', 'live' FROM unnest(%s::bigint[]) AS series (id)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how fast missing bars are found.")
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--share", type=float, default=0.001, help="of the bars that are missing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", metavar="FILE", help="write every figure, with machine and versions")
    arguments = parser.parse_args()
    with Services() as services:
        os.environ.update(environment(services))
        noise = Noise([os.getpid(), services.postgres_process.pid])
        result = measure(arguments)
        result["others_used"] = round(noise.share(), 3)
    print(machine_line())
    print(json.dumps(result, indent=2))
    if arguments.save:
        write_evidence(Path(arguments.save), "gaps", vars(arguments), [result])
    return 0 if result["exact"] else 1


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fill the tables, then time each way in turn."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    stamps, removed = fill(arguments)
    expected = runs(stamps, removed)
    from reconciliation.services.market_data.gap_scan import scan_gaps

    first_seconds, first = timed(scan_gaps)
    found = {(gap.symbol, gap.start, gap.end, gap.missing) for gap in first.missing}
    ways: dict[str, Callable[[], Any]] = {
        "scan": scan_gaps,
        "calendar_grid": lambda: query(_GRID_WAY),
        "lead_per_session": lambda: query(_SORT_WAY),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, Any] = {}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            taken, answers[name] = timed(way)
            seconds[name].append(taken)
    return {
        "bars": len(stamps) * arguments.symbols - len(removed),
        "missing": len(removed),
        "gaps": len(expected),
        "exact": found == expected and answers["calendar_grid"][0] == len(removed),
        "first_scan_with_rows_seconds": round(first_seconds, 2),
        **{f"{name}_seconds": spread(values) for name, values in seconds.items()},
        **follow(arguments, stamps),
    }


def fill(arguments: argparse.Namespace) -> tuple[list[int], set[tuple[int, int]]]:
    """Copy the bars in; returns the expected stamps and what was left out, as (symbol, place)."""
    from django.db import connection

    from reconciliation.core.slots import Stamping
    from reconciliation.core.timeframes import Timeframe
    from reconciliation.models import BarSeries
    from reconciliation.services.market_data.calendars import calendar_between
    from reconciliation.services.market_data.partitions import ensure_partitions

    grid = calendar_between("XNAS", int(FIRST.timestamp()), int(LAST.timestamp())).grid(Timeframe.MINUTE, Stamping())
    first = grid.position(int(FIRST.timestamp()))
    stamps = [grid.at(place) for place in range(first, grid.position(int(LAST.timestamp())))]
    days = sorted({stamp // 86_400 for stamp in stamps})[:SESSIONS]
    stamps = [stamp for stamp in stamps if stamp // 86_400 <= days[-1]]
    draw = random.Random(arguments.seed)
    # The ends of a series stay: what lies outside them is nobody's gap.
    places = draw.sample(
        range(arguments.symbols * (len(stamps) - 2)), round(arguments.symbols * len(stamps) * arguments.share)
    )
    removed = {(place // (len(stamps) - 2), 1 + place % (len(stamps) - 2)) for place in places}
    BarSeries.objects.bulk_create(
        [BarSeries(symbol=f"S{number:04d}", timeframe="1Min", calendar="XNAS") for number in range(arguments.symbols)]
    )
    ids = list(BarSeries.objects.order_by("symbol").values_list("id", flat=True))
    ensure_partitions(Timeframe.MINUTE, stamps)
    moments = [datetime.fromtimestamp(stamp, UTC).isoformat() for stamp in stamps]
    columns = "series_id, opened_at, revision, open, high, low, close, volume, source, quality"
    with connection.cursor() as cursor, cursor.copy(f"COPY reconciliation_bar ({columns}) FROM STDIN") as copy:
        for place, moment in enumerate(moments):  # in the order of time, as a market writes them
            rows = [
                f"{ids[symbol]}\t{moment}\t1\t100.1\t100.3\t100.05\t100.2\t{1000 + place % 97}\tbench\tlive\n"
                for symbol in range(arguments.symbols)
                if (symbol, place) not in removed
            ]
            copy.write("".join(rows))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE reconciliation_bar")
        cursor.execute("CREATE TABLE bench_grid (stamp timestamptz PRIMARY KEY)")
        cursor.execute("INSERT INTO bench_grid SELECT to_timestamp(unnest(%s::bigint[]))", [stamps])
        cursor.execute("ANALYZE bench_grid")
    return stamps, removed


def runs(stamps: list[int], removed: set[tuple[int, int]]) -> set[tuple[str, int, int, int]]:
    """Join what was left out to gaps, in the plainest way."""
    found = set()
    for symbol, place in sorted(removed):
        if (symbol, place - 1) in removed:
            continue
        last = place
        while (symbol, last + 1) in removed:
            last += 1
        found.add((f"S{symbol:04d}", stamps[place], stamps[last], last - place + 1))
    return found


def follow(arguments: argparse.Namespace, stamps: list[int]) -> dict[str, Any]:
    """Time the step after a minute of new bars, over the whole history and over a tenth of it."""
    from django.db import connection

    from reconciliation.core.timeframes import Timeframe
    from reconciliation.models import BarSeries
    from reconciliation.services.market_data.calendars import calendar_between
    from reconciliation.services.market_data.gap_watch import watch_gaps

    ids = list(BarSeries.objects.values_list("id", flat=True))
    last = stamps[-1]
    from reconciliation.core.slots import Stamping

    grid = calendar_between("XNAS", last, last).grid(Timeframe.MINUTE, Stamping())
    results: dict[str, Any] = {}
    place = grid.position(last)
    for name in ("incremental", "incremental_short_history"):
        if name.endswith("history"):
            with connection.cursor() as cursor:
                cursor.execute(
                    "DELETE FROM reconciliation_bar WHERE opened_at < to_timestamp(%s)", [stamps[len(stamps) * 9 // 10]]
                )
                cursor.execute("VACUUM ANALYZE reconciliation_bar")
        taken = []
        for _ in range(20):
            place += 1
            stamp = grid.at(place)
            with connection.cursor() as cursor:
                cursor.execute(_MINUTE, [stamp, ids])
            moment = datetime.fromtimestamp(stamp, UTC) + timedelta(seconds=66)
            seconds, changes = timed(partial(watch_gaps, ids, moment))
            assert not changes.found, changes
            taken.append(seconds * 1000)
        results[f"{name}_ms"] = spread(taken, 1)
    return results


def query(statement: str) -> Any:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def timed(way: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = way()
    return time.perf_counter() - began, answer


def spread(values: list[float], places: int = 2) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), places),
        "least": round(min(values), places),
        "most": round(max(values), places),
    }


if __name__ == "__main__":
    sys.exit(main())
