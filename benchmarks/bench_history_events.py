"""Millions of errors: rate and burn queries, a day dropped, the cost of recording one: ``make bench-history-events``.

PostgreSQL runs as on the product's single machine. Aims: rate and burn queries below 100 ms, a day dropped in less than
a second, an error recorded in less than a millisecond; what misses its aim is printed, and nothing fails because of it.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.history_events.history import fill
from benchmarks.history_events.measuring import AIMS, measure_days, measure_queries, measure_recording, missed
from benchmarks.peers.stanchion import environment
from benchmarks.services import Services


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure queries, recording and retention over a history of errors.")
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=14, help="days they are spread over")
    parser.add_argument("--rounds", type=int, default=30, help="times each question is asked")
    parser.add_argument("--errors", type=int, default=2_000, help="errors recorded to see what one costs")
    parser.add_argument("--json", metavar="FILE", help="write every figure, with machine and versions")
    arguments = parser.parse_args()
    with Services() as services:
        os.environ.update(environment(services))
        os.environ["STANCHION_EXPORT_DIR"] = str(services.folder / "exports")
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("prepare_installation", verbosity=0)
        began = time.monotonic()
        sizes = fill(arguments.events, arguments.days)
        print(f"{arguments.events} events in {time.monotonic() - began:.0f} s", flush=True)
        result = {
            "sizes": sizes,
            "queries": measure_queries(arguments.rounds),
            "recording": measure_recording(arguments.errors),
            "days": measure_days(arguments.days),
            "aims": AIMS,
            "load": os.getloadavg()[0],
        }
    print(machine_line())
    print(json.dumps(result, indent=2))
    for line in missed(result):
        print(f"MISSED {line}")
    if arguments.json:
        parameters = {"events": arguments.events, "days": arguments.days, "rounds": arguments.rounds}
        write_evidence(Path(arguments.json), "history-events", parameters, [result])
    return 0


if __name__ == "__main__":
    sys.exit(main())
