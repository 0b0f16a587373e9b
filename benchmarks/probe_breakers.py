"""What shared circuit breakers do across processes: ``make probe-breakers``.

Each probe starts a Redis of its own and real processes. Ours is held to its aims: one that is not about
time and is missed makes the command fail. Peers are shown beside it and never fail anything.
"""

import argparse
import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.breaker_probes.probes import LEASE_SECONDS, PERMITS, PROBES
from benchmarks.breaker_probes.subjects import FAILURES, OURS, SUBJECTS
from benchmarks.evidence import machine_line, write_evidence
from benchmarks.turns import end_orderly_on_sigterm, print_wide

SAVED_AT = "docs/evidence/breaker-probes.json"
_TRIALS = {"spread": 200, "spread_busy": 200, "cold": 3, "probes": 5, "killed": 3, "frozen": 3, "dead": 3}
_PEER_TRIALS = {"spread": 20, "spread_busy": 20, "cold": 1, "probes": 2, "killed": 1, "frozen": 1, "dead": 1}
console = Console()


def main() -> int:
    arguments = _parse()
    end_orderly_on_sigterm()
    console.print(f"{machine_line()}; load {os.getloadavg()[0]:.1f}")
    found: list[dict[str, Any]] = []
    for subject in arguments.subject or SUBJECTS:
        if missing := _missing(subject):
            found.append({"subject": subject, "error": f"not installed: {', '.join(missing)}"})
            continue
        for probe in arguments.probe or PROBES:
            found.append(run(probe, subject, quick=arguments.quick))
    print_wide(console, table_of(found))
    verdicts = [verdict for result in found if result["subject"] == OURS for verdict in judge(result)]
    for is_kept, words in verdicts:
        console.print(words if is_kept else f"[red]{words}: MISSED[/]", highlight=False)
    if arguments.save:
        packages = {name: _version(name) for subject in SUBJECTS.values() for name in subject.packages}
        write_evidence(Path(arguments.save), "breaker-probes", {"packages": packages}, found)
        console.print(f"written: {arguments.save}")
    return 0 if all(is_kept for is_kept, _ in verdicts) else 1


def run(probe: str, subject: str, *, quick: bool) -> dict[str, Any]:
    """Return the figures of one probe of one subject, or its error."""
    trials = (_TRIALS if subject == OURS else _PEER_TRIALS)[probe]
    trials = min(trials, 10 if probe.startswith("spread") else 1) if quick else trials
    with console.status(f"{subject}: {probe}"):
        try:
            figures = PROBES[probe](subject, trials)
        except Exception as error:  # a peer that breaks is a finding, not the end of the run
            return {"subject": subject, "probe": probe, "error": f"{type(error).__name__}: {error}"}
    return {"subject": subject, "probe": probe, **figures, "load": round(os.getloadavg()[0], 1)}


def judge(result: dict[str, Any]) -> list[tuple[bool, str]]:
    """Return whether each aim of a result that is not about time is kept, and the aim in words."""
    if "error" in result:
        return [(False, f"{result['probe']}: {result['error']}")]
    aims = {
        "spread": ("a trip always reaches the other process", lambda: result["never"] == 0),
        "spread_busy": ("a trip always reaches the other process, busy", lambda: result["never"] == 0),
        "cold": ("8 cold processes let nothing through", lambda: result["through"] == 0),
        "probes": (f"never more than {PERMITS} probes inside", lambda: 0 < result["inside"] <= PERMITS),
        "killed": ("a killed prober's permit comes back", lambda: result["seconds"] is not None),
        "frozen": ("calls go on while Redis is frozen", lambda: result["failing"] is not None),
        "dead": (f"it opens after {FAILURES} failures without Redis", lambda: result["reached"] == FAILURES),
    }
    words, holds = aims[result["probe"]]
    return [(holds(), words)]


def table_of(found: list[dict[str, Any]]) -> Table:
    table = Table(title="shared circuit breakers across processes")
    table.add_column("breaker")
    columns = {
        "spread": "trip to refusal elsewhere, ms: p50 / p99 / max",
        "spread_busy": "the same in a closed loop, all cores busy",
        "cold": "8 cold processes: let through",
        "probes": f"inside half-open of {PERMITS}",
        "killed": f"after kill -9 of the prober, s (lease {LEASE_SECONDS:.0f})",
        "frozen": "Redis frozen, ms: a healthy call / ten failing",
        "dead": "Redis dead: reached of 10 / ms each",
    }
    for title in columns.values():
        table.add_column(title)
    for subject in dict.fromkeys(result["subject"] for result in found):
        results = {result.get("probe", ""): result for result in found if result["subject"] == subject}
        cells = [_cell(probe, results.get(probe) or results.get("")) for probe in columns]
        table.add_row(subject, *cells)
    return table


def _cell(probe: str, result: dict[str, Any] | None) -> str:
    if result is None:
        return "-"
    if "error" in result:
        return str(result["error"])
    if probe.startswith("spread"):
        return f"{result['p50']:.1f} / {result['p99']:.1f} / {result['max']:.1f}"
    if probe == "cold":
        return str(result["through"])
    if probe == "probes":
        return str(result["inside"])
    if probe == "killed":
        return "never" if result["seconds"] is None else f"{result['seconds']:.2f}"
    if probe == "frozen":
        limit = result["patience"]
        values = [result["healthy"], limit if result["failing"] is None else result["failing"]]
        return " / ".join(f"> {limit:.0f}" if value >= limit else f"{value:.1f}" for value in values)
    return f"{result['reached']} / {result['per_call']:.1f}"


def _missing(subject: str) -> list[str]:
    return [name for name in SUBJECTS[subject].packages if _version(name) is None]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Probe what shared circuit breakers do across processes.")
    parser.add_argument("--subject", action="append", choices=list(SUBJECTS), help="this one alone; may be repeated")
    parser.add_argument("--probe", action="append", choices=list(PROBES), help="this one alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="few trials: shows that it runs")
    parser.add_argument("--save", nargs="?", const=SAVED_AT, metavar="FILE", help=f"write every figure ({SAVED_AT})")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
