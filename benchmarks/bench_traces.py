"""What traces cost: ``make bench-traces``, or ``python -m benchmarks.bench_traces``.

The product drains the same orders with traces off, with all of them kept, and with one in twenty kept. Turns alternate
within a round, each with fresh servers; spans go to a receiver here that reads and drops them. Figures depend on the
machine, nothing fails because of them: compare the ratios, which meet the same noisy minutes.
"""

import argparse
import json
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.measure import Noise
from benchmarks.order_load import Run
from benchmarks.peers.stanchion import StanchionContender
from benchmarks.services import Services
from benchmarks.turns import end_orderly_on_sigterm, print_wide, run_turn_in_child

BATCH = 100
RATIOS = {"off": "", "all": "1", "sampled": "0.05"}
console = Console()


@dataclass
class Received:
    """What the receiver of spans was sent."""

    requests: int = 0
    size: int = 0


@contextmanager
def receiver() -> Iterator[tuple[str, Received]]:
    """Take OTLP over HTTP and drop it; yields the address and what came."""
    received, lock = Received(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            with lock:
                received.requests += 1
                received.size += length
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing: there are many."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()


def main() -> int:
    arguments = _parse()
    end_orderly_on_sigterm()
    if arguments.one:
        run_turn(arguments.one, arguments.orders, Path(arguments.out))
        return 0
    console.print(f"{machine_line()}\n{arguments.rounds} round(s) of {arguments.orders} orders", highlight=False)
    results = []
    for number in range(1, arguments.rounds + 1):
        for name in RATIOS:
            turn = ["--one", name, "--orders", str(arguments.orders)]
            results.append(
                {"traces": name, "round": number, **run_turn_in_child("benchmarks.bench_traces", name, turn)}
            )
            console.print(results[-1], highlight=False)
    print_wide(console, traces_table(results))
    if arguments.json:
        parameters = {"rounds": arguments.rounds, "orders": arguments.orders}
        write_evidence(Path(arguments.json), "traces", parameters, [*results, {"ratios": ratios(results)}])
    return 1 if any("error" in one for one in results) else 0


def run_turn(name: str, orders: int, out: Path) -> None:
    """Measure one setting in this process and write its figures, or its error, to ``out``."""
    result: dict[str, Any] = {}
    with receiver() as (address, received), Services() as services:
        extra = {"STANCHION_TRACES_URL": address, "STANCHION_TRACES_RATIO": RATIOS[name]} if RATIOS[name] else {}
        contender = StanchionContender(f"traces {name}", BATCH, extra=extra)
        try:
            contender.start(services)
            run = Run(contender, services)
            run.burst(BATCH)
            noise = Noise([os.getpid(), *contender.pids()])
            burst = run.burst(orders)
            drained = run.drain(orders)
            stats = services.ask_broker("/stats")
            result |= {
                "orders_per_second": burst.orders_per_second,
                "drain_per_second": drained,
                "cpu_seconds_per_1000": burst.cpu_workers + burst.cpu_servers,
                "others_used": noise.share(),
                "requests_of_spans": received.requests,
                "bytes_of_spans": received.size,
                "doubled": stats["dupes"],
            }
        except Exception:  # one turn's failure must not end the run
            result["error"] = traceback.format_exc(limit=-3)
        finally:
            contender.stop()
    out.write_text(json.dumps(result))


def ratios(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return, per setting, the median over rounds of each figure divided by the same round's with traces off."""
    figures = ("orders_per_second", "drain_per_second", "cpu_seconds_per_1000")
    good = {(one["traces"], one["round"]): one for one in results if "error" not in one}
    found: dict[str, dict[str, float]] = {}
    for name in RATIOS:
        pairs = [(one, good["off", number]) for (kind, number), one in good.items() if kind == name]
        pairs = [(one, off) for one, off in pairs if name != "off"]
        if pairs:
            found[name] = {figure: median(one[figure] / off[figure] for one, off in pairs) for figure in figures}
    return found


def traces_table(results: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Orders with traces off, all kept, one in twenty kept (median over rounds)")
    titles = (
        "traces",
        "orders/s",
        "drain/s",
        "CPU s per 1,000",
        "x off, drain",
        "x off, CPU",
        "spans, MB",
        "others used",
    )
    for title in titles:
        table.add_column(title, justify="left" if title == "traces" else "right")
    beside = ratios(results)
    for name in RATIOS:
        turns = [one for one in results if one["traces"] == name and "error" not in one]
        if not turns:
            table.add_row(name, *["failed"] * (len(titles) - 1))
            continue
        ratio = beside.get(name)
        table.add_row(
            name,
            f"{median(one['orders_per_second'] for one in turns):.0f}",
            f"{median(one['drain_per_second'] for one in turns):.0f}",
            f"{median(one['cpu_seconds_per_1000'] for one in turns):.2f}",
            f"{ratio['drain_per_second']:.2f}" if ratio else "1",
            f"{ratio['cpu_seconds_per_1000']:.2f}" if ratio else "1",
            f"{median(one['bytes_of_spans'] for one in turns) / 2**20:.1f}",
            f"{max(one['others_used'] for one in turns):.0%}",
        )
    return table


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what traces cost.")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each setting (3)")
    parser.add_argument("--orders", type=int, default=2000, help="orders of each part (2,000)")
    parser.add_argument("--json", metavar="FILE", help="write every figure, with machine and versions")
    parser.add_argument("--one", choices=tuple(RATIOS), help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
