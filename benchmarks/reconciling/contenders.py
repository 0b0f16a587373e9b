"""Who compares, each in a process of its own, so that memory is its own.

``full`` and ``incremental`` are the product's own steps from the broker's reports to rows that name the
differences. ``select`` asks the database for one order at a time, as a first version does. ``sql`` copies the pages
into a temporary table and joins once, without naming, keeping or telling anything; so it is a floor.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
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
    backend = _backend(connection)
    base, reading, keeping = _peak_mb(), 0.0, 0.0
    report = AccountReport("bench", "USD", 0, 0, 0, False)  # type: ignore[arg-type]
    for part in _parts(read_pages(pages), PAGES):
        began = time.perf_counter()
        orders = [order for page in part for order in parsing.parse_orders(parsing.parse_json(page))]
        reading += time.perf_counter() - began
        began = time.perf_counter()
        with transaction.atomic():
            keep_answers(run, Answers(RunStep.ORDERS, "", orders=orders))
        keeping += time.perf_counter() - began
    held = [parsing.parse_position(row) for row in json.loads(positions.read_text())]
    began = time.perf_counter()
    with transaction.atomic():
        keep_answers(run, Answers(RunStep.HOLDINGS, "", positions=held, account=report))
        compare_all(run, mark, capabilities)
    comparing = time.perf_counter() - began
    found = sorted(Discrepancy.objects.filter(last_run=run).exclude(kind="cash").values_list("kind", "subject"))
    return {
        "seconds": keeping + comparing,
        "keeping": keeping,
        "comparing": comparing,
        "reading": reading,
        "peak_mb": _peak_mb(),
        "base_mb": base,
        "backend_mb": backend(),
        "found": found,
    }


def one_select_an_order(kind: str, url: str, account: int, pages: Path, positions: Path) -> dict[str, Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        base, reading, found = _peak_mb(), 0.0, 0
        started = time.perf_counter()
        for page in read_pages(pages):
            began = time.perf_counter()
            rows = json.loads(page)
            reading += time.perf_counter() - began
            for row in rows:
                ours = connection.execute(
                    "SELECT quantity, filled_quantity, limit_price FROM brokers_order "
                    "WHERE account_id = %s AND client_order_id = %s",
                    (account, row["client_order_id"]),
                ).fetchone()
                found += ours is None or str(ours[1]) != row["filled_qty"]
        seconds = time.perf_counter() - started - reading
    return {"seconds": seconds, "reading": reading, "peak_mb": _peak_mb(), "base_mb": base}


def plain_sql(kind: str, url: str, account: int, pages: Path, positions: Path) -> dict[str, Any]:
    with psycopg.connect(url) as connection:
        base, reading = _peak_mb(), 0.0
        started = time.perf_counter()
        connection.execute("SET work_mem = '64MB'")
        connection.execute(
            "CREATE TEMP TABLE snapshot (id text, client_order_id text, symbol text, side text, qty numeric, "
            "filled_qty numeric, limit_price numeric, status text)"
        )
        with connection.cursor() as cursor, cursor.copy("COPY snapshot FROM STDIN") as copy:
            for page in read_pages(pages):
                began = time.perf_counter()
                rows = json.loads(page)
                reading += time.perf_counter() - began
                for row in rows:
                    copy.write_row([row[name] for name in _FIELDS])
        connection.execute("ANALYZE snapshot")
        found = connection.execute(_DIFFERING, (account,)).fetchall()
        seconds = time.perf_counter() - started - reading
        connection.rollback()
    return {"seconds": seconds, "reading": reading, "peak_mb": _peak_mb(), "base_mb": base, "count": len(found)}


def _parts(pages: Iterator[str], size: int) -> Iterator[list[str]]:
    while part := list(islice(pages, size)):
        yield part


def _backend(connection: Any) -> Callable[[], float]:
    connection.ensure_connection()
    process = psutil.Process(connection.connection.info.backend_pid)

    def private_mb() -> float:
        memory = process.memory_info()
        return float(memory.rss - memory.shared) / 2**20

    return private_mb


def _peak_mb() -> float:
    """Return the most memory this process ever had; not ``ru_maxrss``, which it inherits from its parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
