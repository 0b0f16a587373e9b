"""Who compares, each in a process of its own, so that memory is its own.

``full`` and ``incremental`` are the product's own steps from the broker's reports to rows that name the
differences. ``select`` asks the database for one order at a time, as a first version does. ``sql`` copies the pages
into a temporary table and joins once, without naming, keeping or telling anything; so it is a floor.
"""

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks.reconciling.world import read_pages

_FIELDS = ("id", "client_order_id", "symbol", "side", "qty", "filled_qty", "limit_price", "status")
_DIFFERING = """
SELECT coalesce(l.broker_order_id, s.id), l.id IS NULL, s.id IS NULL
FROM (SELECT * FROM brokers_order WHERE account_id = %s AND finished_at IS NULL) l
FULL JOIN snapshot s ON s.id = l.broker_order_id
WHERE l.id IS NULL OR s.id IS NULL OR (l.quantity, l.filled_quantity, l.limit_price, l.side, l.symbol)
      IS DISTINCT FROM (s.qty, s.filled_qty, s.limit_price, s.side, s.symbol)
"""


def main() -> int:
    contender, url, account, pages, positions = sys.argv[1:6]
    work = {"full": product, "incremental": product, "select": one_select_an_order, "sql": plain_sql}[contender]
    print(json.dumps(work(contender, url, int(account), Path(pages), Path(positions))))
    return 0


def product(kind: str, url: str, account: int, pages: Path, positions: Path) -> dict[str, Any]:
    """Put the reports beside the records and compare, twenty pages a transaction as a run does."""
    import django

    django.setup()
    from django.db import connection, transaction

    from brokers.adapters.alpaca import parsing
    from brokers.core.capabilities import Capabilities
    from brokers.core.reports import AccountReport
    from brokers.services.accounts import get_profile
    from reconciliation.core.runs import RunStep
    from reconciliation.models import Discrepancy, ReconciliationRun
    from reconciliation.services.asking import PAGES, Answers
    from reconciliation.services.comparing import compare_all
    from reconciliation.services.run_job import keep_answers
    from reconciliation.services.runs import begin, get_mark

    capabilities: Capabilities = get_profile(account).adapter.capabilities
    run = ReconciliationRun.objects.create(account_id=account, kind=kind, trigger="bench", requested_by="bench")
    begin(run)
    mark = get_mark(account)
    if kind == "incremental":
        mark.fill_id = run.marks["fill_id"]
        mark.save()
    connection.ensure_connection()
    backend = Backend(connection.connection.info.backend_pid)
    base, reading, keeping, cpu = _peak_mb(), 0.0, 0.0, 0.0
    report = AccountReport("bench", "USD", 0, 0, 0, False)  # type: ignore[arg-type]
    for part in _parts(read_pages(pages), PAGES):
        began = time.perf_counter()
        orders = [order for page in part for order in parsing.parse_orders(parsing.parse_json(page))]
        reading += time.perf_counter() - began
        began, spent = time.perf_counter(), time.process_time()
        with transaction.atomic():
            keep_answers(run, Answers(RunStep.ORDERS, "", orders=orders))
        keeping += time.perf_counter() - began
        cpu += time.process_time() - spent
    held = [parsing.parse_position(row) for row in json.loads(positions.read_text())]
    began, spent = time.perf_counter(), time.process_time()
    with transaction.atomic():
        keep_answers(run, Answers(RunStep.HOLDINGS, "", positions=held, account=report))
        compare_all(run, mark, capabilities)
    comparing = time.perf_counter() - began
    cpu += time.process_time() - spent
    found = sorted(Discrepancy.objects.filter(last_run=run).exclude(kind="cash").values_list("kind", "subject"))
    return {
        "seconds": keeping + comparing,
        "keeping": keeping,
        "comparing": comparing,
        "reading": reading,
        "peak_mb": _peak_mb(),
        "base_mb": base,
        "backend_mb": backend.private_mb(),
        "cpu_seconds": cpu + backend.cpu_seconds(),
        "found": found,
    }


class Reading:
    """Turning the broker's pages into rows, which every contender must and none is measured by."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    def rows(self, page: str) -> list[Any]:
        began, spent = time.perf_counter(), time.process_time()
        rows: list[Any] = json.loads(page)
        self.seconds += time.perf_counter() - began
        self.cpu += time.process_time() - spent
        return rows


def one_select_an_order(kind: str, url: str, account: int, pages: Path, positions: Path) -> dict[str, Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        base, found = _peak_mb(), 0
        backend, reading = Backend(connection.info.backend_pid), Reading()
        started, spent = time.perf_counter(), time.process_time()
        for page in read_pages(pages):
            for row in reading.rows(page):
                ours = connection.execute(
                    "SELECT quantity, filled_quantity, limit_price FROM brokers_order "
                    "WHERE account_id = %s AND client_order_id = %s",
                    (account, row["client_order_id"]),
                ).fetchone()
                found += ours is None or str(ours[1]) != row["filled_qty"]
        return _answer(started, spent, reading, backend, base)


def plain_sql(kind: str, url: str, account: int, pages: Path, positions: Path) -> dict[str, Any]:
    with psycopg.connect(url) as connection:
        base = _peak_mb()
        backend, reading = Backend(connection.info.backend_pid), Reading()
        started, spent = time.perf_counter(), time.process_time()
        connection.execute("SET work_mem = '64MB'")
        connection.execute(
            "CREATE TEMP TABLE snapshot (id text, client_order_id text, symbol text, side text, qty numeric, "
            "filled_qty numeric, limit_price numeric, status text)"
        )
        with connection.cursor() as cursor, cursor.copy("COPY snapshot FROM STDIN") as copy:
            for page in read_pages(pages):
                for row in reading.rows(page):
                    copy.write_row([row[name] for name in _FIELDS])
        connection.execute("ANALYZE snapshot")
        found = connection.execute(_DIFFERING, (account,)).fetchall()
        answer = _answer(started, spent, reading, backend, base)
        connection.rollback()
    return {**answer, "count": len(found)}


def _answer(started: float, spent: float, reading: Reading, backend: "Backend", base: float) -> dict[str, Any]:
    return {
        "seconds": time.perf_counter() - started - reading.seconds,
        "cpu_seconds": time.process_time() - spent - reading.cpu + backend.cpu_seconds(),
        "reading": reading.seconds,
        "peak_mb": _peak_mb(),
        "base_mb": base,
    }


def _parts(pages: Iterator[str], size: int) -> Iterator[list[str]]:
    while part := list(islice(pages, size)):
        yield part


class Backend:
    """The process of PostgreSQL that serves one connection: its own memory, and what it computed since."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._before = sum(self._process.cpu_times()[:2])

    def private_mb(self) -> float:
        memory = self._process.memory_info()
        return float(memory.rss - memory.shared) / 2**20

    def cpu_seconds(self) -> float:
        return float(sum(self._process.cpu_times()[:2]) - self._before)


def _peak_mb() -> float:
    """Return the most memory this process ever had; not ``ru_maxrss``, which it inherits from its parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
