"""What sealing the history costs, and how fast it is verified: ``python -m benchmarks.bench_seals``.

Orders are accepted, sent and acknowledged by the product's own statements in one process, without
HTTP and without a broker, so the share that sealing has of it is an upper bound. Processor time is
this process and PostgreSQL together. Figures depend on the machine; nothing fails because of them.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.peers.stanchion import environment
from benchmarks.services import Services

_BATCH = 50
_TABLES = ("brokers_order", "brokers_orderevent", "reliability_job", "brokers_event_seal", "brokers_historyanchor")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what sealing costs.")
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--json", metavar="FILE", help="write every figure, with machine and versions")
    arguments = parser.parse_args()
    with Services() as services:
        os.environ.update(environment(services))
        result = measure(services, arguments.orders)
    print(machine_line())
    print(json.dumps(result, indent=2))
    if arguments.json:
        write_evidence(Path(arguments.json), "seals", {"orders": arguments.orders}, [result])
    return 0


def measure(services: Services, orders: int) -> dict[str, Any]:
    """Return processor seconds, rows and bytes per 1,000 orders, and rows a second of verification."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("prepare_installation", verbosity=0)
    from brokers.services.history.rebuilding import compare_orders
    from brokers.services.history.sealing import seal_appended
    from brokers.services.history.verification import verify_history

    cpu = Cpu(services.postgres_process.pid)
    work = cpu.spent(lambda: drive(orders))
    before = sizes()

    def seal() -> int:
        total = 0
        while rows := seal_appended():
            total += rows
        return total

    sealing = cpu.spent(seal)
    after = sizes()
    verifying = cpu.spent(lambda: last(verify_history()))
    rebuilding = cpu.spent(lambda: last(compare_orders()))
    assert verifying["result"].finding is None
    thousands = orders / 1000
    return {
        "work_cpu_seconds_per_1000": round(work["cpu"] / thousands, 4),
        "sealing_cpu_seconds_per_1000": round(sealing["cpu"] / thousands, 4),
        "sealing_own_cpu_seconds_per_1000": round(sealing["own"] / thousands, 4),
        "sealed_rows_per_1000": sealing["result"] / thousands,
        "sealed_rows_per_second": round(sealing["result"] / sealing["wall"]),
        "seal_bytes_per_row": round(sum(after[name] - before[name] for name in _TABLES[3:]) / sealing["result"], 1),
        "seal_bytes_per_order": round(sum(after[name] - before[name] for name in _TABLES[3:]) / orders),
        "other_bytes_per_order": round(sum(after[name] for name in _TABLES[:3]) / orders),
        "verified_rows_per_second": round(verifying["result"].rows / verifying["wall"]),
        "rebuilt_orders_per_second": round(rebuilding["result"].checked / rebuilding["wall"]),
    }


def drive(orders: int) -> None:
    """Accept, send and acknowledge orders in batches."""
    from django.contrib.auth import get_user_model
    from django.db import transaction

    from brokers.core.orders import Side
    from brokers.core.reports import OrderReport, ReportedStatus
    from brokers.services.order_statements import mark_sending, record_acknowledged
    from brokers.services.submission import OrderSubmission, accept_orders

    owner = get_user_model().objects.get(username="bench")
    body = {"symbol": "AAPL", "side": "buy", "quantity": "1", "type": "limit", "limit_price": "99.5"}
    for start in range(0, orders, _BATCH):
        submissions = [OrderSubmission(f"bench-{number}", body) for number in range(start, start + _BATCH)]
        accepted: list[Any] = accept_orders(owner_id=owner.pk, actor="bench", submissions=submissions)
        with transaction.atomic():
            mark_sending({order.id: {"attempt": 1, "fence": 1} for order in accepted})
        now = datetime.now(UTC)
        replies = [
            (
                order.id,
                OrderReport(
                    order.client_order_id, f"b-{order.id}", ReportedStatus.WORKING, "AAPL", Side.BUY, Decimal(0),
                    reported_at=now,
                ),
            )
            for order in accepted
        ]  # fmt: skip
        with transaction.atomic():
            record_acknowledged(replies)


class Cpu:
    """Processor time of this process and of a server with all its children."""

    def __init__(self, server: int) -> None:
        self._server = psutil.Process(server)

    def spent(self, work: Callable[[], Any]) -> dict[str, Any]:
        own, all_before, began = _own(), self._total(), time.monotonic()
        result = work()
        return {
            "result": result,
            "wall": time.monotonic() - began,
            "own": _own() - own,
            "cpu": self._total() - all_before,
        }

    def _total(self) -> float:
        processes = [self._server, *self._server.children(recursive=True)]
        return _own() + sum(sum(process.cpu_times()[:2]) for process in processes)


def _own() -> float:
    return time.process_time()


def sizes() -> dict[str, int]:
    """Return the bytes of each table with its indexes."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, pg_total_relation_size(name::regclass) FROM unnest(%s::text[]) AS name", [list(_TABLES)]
        )
        return dict(cursor.fetchall())


def last(items: Any) -> Any:
    *_, final = items
    return final


if __name__ == "__main__":
    sys.exit(main())
