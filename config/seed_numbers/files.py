"""The kept results in ``docs/evidence``: what each file is, and what it was made on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.seed_numbers.measurement import Measurement, Source
from config.seed_numbers.readers import read

EVIDENCE = Path(__file__).resolve().parents[2] / "docs" / "evidence"
INDEX_BEGIN, INDEX_END = "<!-- files: written by manage.py write_reference -->", "<!-- end of files -->"

# Commands and what a file says, for files that do not say it themselves, by the kind of benchmark or the file's name.
_KNOWN = {
    "acceptance": (
        "STANCHION_ACCEPTANCE_JSON=FILE make acceptance",
        "every scenario, messages in Redis or RabbitMQ: orders, strikes, lost, doubled, unknown, longest "
        "wait of an order, seconds until healthy without a hand, memory of the whole stack at rest. Rows that begin "
        "with `teeth` had a protection taken away and had to fail",
    ),
    "chaos-sabotage": (
        "",
        "each chaos scenario under its sabotage: `red` broke an invariant that its file names, `green` did not and so "
        "proves nothing yet; what a red one shows is in the [table](../reference/chaos-scenarios.md)",
    ),
    "chaos-campaign": (
        "",
        "many seeds of every chaos scenario: lost, doubled, unknown, each time with n, p50, p95, max and misses",
    ),
    "simulation": (
        "",
        "faults and healthy episodes under a virtual clock: missed, false alarms, bounds, delays of each scenario",
    ),
    "orders": (
        'make bench-orders ARGS="--json FILE"',
        "rates, latencies and CPU beside naive Celery and dramatiq in the same run",
    ),
    "seals": (
        "python -m benchmarks.bench_seals --json FILE",
        "what sealing the history costs, and how fast it is verified",
    ),
    "loss": (
        'make bench-loss ARGS="--json FILE"',
        "orders lost and doubled under kill -9, beside naive Celery",
    ),
    "resilience": (
        'make bench-resilience ARGS="--save FILE"',
        "ns per admitted, rejected and failed call through circuit, guard and retry, beside other libraries",
    ),
    "mutation": (
        'make mutate ARGS="--save FILE"',
        "small changes of the core's modules and whether its tests noticed them: counts per module with "
        "the commit they are of, every survivor with its lines, and which modules did not run",
    ),
    "breaker-probes": (
        "make probe-breakers ARGS=--save",
        "what shared circuit breakers do across processes: spread of an opening, cold starts, probes, a killed prober, "
        "Redis frozen and dead",
    ),
    "isolation": (
        'make bench-isolation ARGS="--save FILE"',
        "orders for one broker while the other is well or hangs, and the return of orders that waited for a dead one; "
        "counts rather than rates, as other programs used 65 to 78 % of all cores",
    ),
    "reconcile": (
        'make bench-reconcile ARGS="--json FILE"',
        "comparing what a broker reported with open orders, beside plain SQL and one SELECT an order; compare by "
        "`cpu_seconds` where `others_share` is high",
    ),
    "reconcile-history-bench": (
        'make bench-reconcile ARGS="--rounds 2 --sizes --history 100000 --json FILE"',
        "an incremental run of 10,000 open orders with 0 and with 100,000 finished ones behind it",
    ),
    "order-races": (
        'make order-races ARGS="--save FILE"',
        "cancels and replacements racing with fills, fill events told twice and out of turn, lost replies, by the "
        "brokers' own ledgers",
    ),
    "failover": ('make bench-failover ARGS="--save FILE"', "seconds until trading goes on elsewhere, by what failed"),
    "incidents": (
        'make bench-incidents ARGS="--json FILE"',
        "pages over a long history, and how soon a fault is an alert",
    ),
    "recovery": ('make bench-recovery ARGS="--out FILE"', "recoveries after faults under load, by fault"),
    "history-events": (
        "python -m benchmarks.bench_history_events --json FILE",
        "questions about 5,000,000 error events, the cost of one, and of dropping a day",
    ),
    "gaps": ('make bench-gaps ARGS="--save FILE"', "finding and filling gaps of bars"),
    "basket-crashes": ('make basket-crashes ARGS="--json FILE"', "baskets whose workers are killed again and again"),
    "backup-drill": ('make backup-drill ARGS="--json FILE"', "a backup restored in the middle of work"),
    "upgrade-drill": (
        'make upgrade-drill ARGS="--json FILE"',
        "old and new code side by side while orders flow, compared with the brokers' ledgers",
    ),
    "traces": ('make bench-traces ARGS="--json FILE"', "what traces cost: a drain with and without them"),
}
_LOAD = "steady orders while something breaks again and again"


def read_all(folder: Path = EVIDENCE) -> dict[str, Any]:
    """Return the content of every result file by its name, in order of names."""
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def measurements(contents: Mapping[str, Any]) -> list[Measurement]:
    """Return what all files together say about the numbers asked for."""
    return [one for name, content in contents.items() for one in read(content, source_of(name, content))]


def source_of(name: str, content: Any) -> Source:
    """Return what the file says of itself."""
    command, _ = _about(name, content)
    machine = content.get("machine", {})
    commit = str(content.get("commit") or machine.get("commit") or "")
    changed = "+" if commit.endswith("+") else ""
    return Source(
        file=name,
        command=command,
        day=str(content.get("measured_at") or content.get("began_at") or "")[:10],
        commit=commit[:10] + changed,
        machine=", ".join(
            text
            for text in (
                f"{machine['cores']} cores" if "cores" in machine else "",
                str(machine.get("cpu", "")),
                str(machine.get("kernel") or machine.get("system") or ""),
            )
            if text
        ),
    )


def _about(name: str, content: Any) -> tuple[str, str]:
    """Return the command that wrote a file and what it says: from the file, from the list above, or nothing."""
    stem = name.removesuffix(".json")
    fields = content if isinstance(content, dict) else {}
    known = _KNOWN.get(stem) or _KNOWN.get(fields.get("benchmark", "")) or ("", _LOAD if "load" in fields else "")
    command = str(fields.get("command", ""))
    if command.startswith("chaos"):
        command = f'make chaos ARGS="{command.removeprefix("chaos").strip()}"'
    return command or known[0], known[1]


def index(contents: Mapping[str, Any]) -> str:
    """Return the table of the files, in Markdown."""
    lines = ["| file | what it says | command | date | commit |", "|---|---|---|---|---|"]
    for name, content in contents.items():
        source = source_of(name, content)
        _, what = _about(name, content)
        cells = (f"`{name}`", what, f"`{source.command}`" if source.command else "", source.day, source.commit)
        lines.append(f"| {' | '.join(cell or 'not said' for cell in cells)} |")
    return "\n".join(lines)


def readme_page(folder: Path = EVIDENCE) -> str:
    """Return ``docs/evidence/README.md`` with its table of files made anew; what people wrote around it stays."""
    text = (folder / "README.md").read_text()
    before, begin, rest = text.partition(INDEX_BEGIN)
    _, end, after = rest.partition(INDEX_END)
    if not begin or not end:
        raise ValueError("docs/evidence/README.md has no place for the table of files")
    return f"{before}{INDEX_BEGIN}\n\n{index(read_all(folder))}\n\n{INDEX_END}{after}"
