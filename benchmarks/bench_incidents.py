"""Pages over a long history, and how soon a fault is a row: ``python -m benchmarks.bench_incidents``.

Pages are asked of Django in this process, without a web server in front. Faults are real: a child process is killed
with -9, a circuit opens, a stream's row says down; the sentinel of the product runs in a thread beside. Figures
depend on the machine; the aims are printed beside them, and nothing fails because of them.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.incidents.detection import measure_detection
from benchmarks.incidents.history import fill
from benchmarks.incidents.pages import measure_pages
from benchmarks.peers.stanchion import environment
from benchmarks.services import Services


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure pages over a long history, and detection.")
    parser.add_argument("--incidents", type=int, default=100_000)
    parser.add_argument("--errors", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30, help="requests of each page")
    parser.add_argument("--faults", type=int, default=20, help="faults of each kind")
    parser.add_argument("--only", choices=("detection", "pages"), help="one half of it")
    parser.add_argument("--json", metavar="FILE", help="write every figure, with machine and versions")
    arguments = parser.parse_args()
    with Services() as services:
        os.environ.update(environment(services))
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("prepare_installation", verbosity=0)
        detection = {} if arguments.only == "pages" else measure_detection(arguments.faults)
        pages = {}
        if arguments.only != "detection":
            fill(arguments.incidents, arguments.errors)
            pages = measure_pages(arguments.rounds)
    print(machine_line())
    print(f"load {os.getloadavg()[0]:.1f}")
    result = {"detection_seconds": detection, "pages_milliseconds": pages, "load": os.getloadavg()[0]}
    print(json.dumps(result, indent=2))
    if arguments.json:
        parameters = {"incidents": arguments.incidents, "errors": arguments.errors, "rounds": arguments.rounds}
        write_evidence(Path(arguments.json), "incidents", parameters, [result])
    return 0


if __name__ == "__main__":
    sys.exit(main())
