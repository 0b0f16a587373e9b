"""The tables at the end of a run, for the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from config.chaos.statistics import shown
from config.chaos.summary import SEED_TEXTS, EpisodeRow, time_lines, totals

_COLOURS = {"passed": "green", "failed": "bold red", "void": "yellow", "not run": "dim"}


def print_tables(console: Console, rows: Sequence[EpisodeRow]) -> None:
    console.print(_episodes(rows))
    console.print(_times(rows))
    sums = totals(rows)
    console.print(
        f"{sums.orders} orders, {sums.faults} faults in {sums.episodes} episodes: {sums.lost} lost, "
        f"{sums.doubled} doubled, {sums.unknown} unknown, {sums.differing} differing; "
        f"{sums.undetected} of {sums.detectable} faults not noticed; "
        f"{sums.unrecovered} of {sums.recoverable} episodes did not recover by themselves; {sums.not_run} not run",
        highlight=False,
    )


def _episodes(rows: Sequence[EpisodeRow]) -> Table:
    table = Table(title="Scenarios", title_justify="left")
    columns = ("#", "scenario", "seed", "outcome", "orders", "faults", "noticed s", "recovered s")
    for column in (*columns, "memory MB", "load", "busy", "noise ms"):
        table.add_column(column, justify="left" if column in ("scenario", "outcome") else "right")
    for one in rows:
        detected, recovered = one.times.get("detection", []), one.times.get("recovery", [])
        table.add_row(
            str(one.number),
            one.scenario,
            str(one.seed),
            f"[{_COLOURS[one.outcome]}]{one.outcome}[/]",
            str(one.orders),
            str(len(one.faults)),
            shown(max(detected)) if detected else "",
            shown(max(recovered)) if recovered else "",
            *machine_cells(one),
            f"{one.noise_ms:.0f}",
        )
    return table


def machine_cells(one: EpisodeRow) -> tuple[str, str, str]:
    """Return memory of the stack at most, load at most and the share of all cores in use; blank where not measured."""
    if not one.memory_mb:
        return "", "", ""
    return f"{one.memory_mb:.0f}", f"{one.load:.1f}", f"{one.busy:.0%}"


def _times(rows: Sequence[EpisodeRow]) -> Table:
    table = Table(title="Against the numbers asked for, seconds", title_justify="left")
    for column in ("asked for", "n", "p50", "p95", "max", "over", "invalid", "met", "misses at most, 95 %"):
        table.add_column(column, justify="left" if column == "asked for" else "right")
    for line in time_lines(rows):
        table.add_row(
            SEED_TEXTS[line.name],
            str(line.n),
            shown(line.p50),
            shown(line.p95),
            shown(line.most),
            str(line.over),
            str(line.invalid),
            "[green]yes[/]" if line.is_met else "[red]no[/]",
            f"{line.bound:.1%}",
        )
    return table
