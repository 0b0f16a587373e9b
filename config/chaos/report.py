"""The report of a run: ``report.json`` for programs, ``report.html`` for people, one file that needs no other."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from config.chaos.episode import Episode
from config.chaos.picture import timeline
from config.chaos.statistics import shown
from config.chaos.summary import SEED_TEXTS, as_json, row_of, time_lines, totals
from config.chaos.table import machine_cells

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5b6b7b; --line: #d5dce3; --page: #fff; --bad: #b3261e;
        --good: #1b6e3c; --fault: #c2571a; --seen: #1b6e3c; --circuit: #7a4fb0; --unready: #b3261e; --rate: #1f5fa8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf0; --soft: #9fb0c0; --line: #36424e; --page: #151b21;
        --bad: #ff8a80; --good: #7fd1a0; --fault: #f0a06a; --seen: #7fd1a0; --circuit: #c4a4f0; --unready: #ff8a80;
        --rate: #86b8f0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 1040px;
       margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; } .soft { color: var(--soft); }
.passed { color: var(--good); } .failed, .void { color: var(--bad); font-weight: 600; }
section { border-top: 1px solid var(--line); margin-top: 2rem; } .scroll { overflow-x: auto; }
svg { width: 100%; min-width: 640px; height: auto; } svg text { font-size: 12px; fill: var(--ink); }
svg .label { text-anchor: end; } svg .tick { text-anchor: middle; fill: var(--soft); }
svg .well { stroke: var(--good); stroke-width: 2; stroke-dasharray: 4 3; }
svg .grid { stroke: var(--line); }
svg .fault { fill: var(--fault); } svg .seen { fill: var(--seen); } svg .circuit { fill: var(--circuit); }
svg .unready { fill: var(--unready); } svg .rate { fill: none; stroke: var(--rate); stroke-width: 1.5; }
"""


def write_report(folder: Path, episodes: Sequence[Episode], facts: Mapping[str, Any]) -> None:
    """Write both files; a run that is interrupted leaves what it had."""
    folder.mkdir(parents=True, exist_ok=True)
    content = as_json([row_of(one) for one in episodes], dict(facts))
    (folder / "report.json").write_text(json.dumps(content, indent=1, default=str) + "\n")
    (folder / "report.html").write_text(html_page(episodes, facts))


def html_page(episodes: Sequence[Episode], facts: Mapping[str, Any]) -> str:
    """Return the report as one page without links to anything outside."""
    machine = facts["machine"]
    sums = totals([row_of(one) for one in episodes])
    counts = (
        f"{sums.orders} orders and {sums.faults} faults in {sums.episodes} episodes: {sums.lost} lost, "
        f"{sums.doubled} doubled, {sums.unknown} unknown, {sums.differing} differing from the brokers' ledgers. "
        f"{sums.undetected} of {sums.detectable} faults left no record of ours; "
        f"{sums.unrecovered} of {sums.recoverable} episodes did not recover by themselves."
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Chaos report</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{_STYLE}</style></head><body><h1>Chaos report</h1>",
            f'<p class="soft">{escape(facts["command"])}, {escape(facts["began_at"])}, commit '
            f"{escape(facts['commit'][:12])}; {machine['cores']} cores, {escape(machine['cpu'])}, "
            f"{escape(machine['kernel'])}, Python {escape(machine['python'])}</p>",
            f"<p>{counts}</p>",
            _times(episodes),
            _load(facts.get("load", {})),
            _table(
                ("#", "scenario", "seed", "outcome", "recovered", "memory, MB", "load", "cores busy", "noise"),
                (
                    (
                        str(one.scenario.number),
                        f'<a href="#{_anchor(one)}">{escape(one.scenario.title)}</a>',
                        str(one.seed),
                        f'<span class="{one.outcome.name.lower()}">{one.outcome}</span>',
                        _seconds(one.measures.times.get("recovery", ())),
                        *machine_cells(row_of(one)),
                        f"{one.measures.noise_ms:.0f} ms",
                    )
                    for one in episodes
                ),
            ),
            *(_section(one) for one in episodes),
            "</body></html>\n",
        ]
    )


def _times(episodes: Sequence[Episode]) -> str:
    rows = (
        (
            SEED_TEXTS[line.name],
            str(line.n),
            shown(line.p50),
            shown(line.p95),
            shown(line.most),
            str(line.over),
            str(line.invalid),
            f"{line.bound:.1%}",
        )
        for line in time_lines([row_of(one) for one in episodes])
    )
    titles = ("asked for", "n", "p50 s", "p95 s", "max s", "over", "machine late", "true miss rate at most (95 %)")
    return _table(titles, rows)


def _load(figures: Mapping[str, float | None]) -> str:
    """Return what a steady load went through, where that was measured."""
    if not figures:
        return ""
    rows = ((name.replace("_", " "), "never" if value is None else f"{value:g}") for name, value in figures.items())
    return _table(("the load", "orders, orders a second, or seconds"), rows)


def _section(episode: Episode) -> str:
    scenario = episode.scenario
    parts = [
        f'<section id="{_anchor(episode)}"><h2>{scenario.number}. {escape(scenario.title)}</h2>',
        f'<p class="soft">{escape(scenario.name)}, seed {episode.seed}, {episode.seconds:.0f} s</p>',
        f"<p>Expected: {escape(scenario.expected)}</p>",
    ]
    if episode.reason:
        parts.append(f"<p>{episode.outcome}: {escape(episode.reason)}</p>")
    if episode.findings:
        items = "".join(
            f"<li>{escape(str(one))}{' (time only)' if one.is_timing else ''}</li>" for one in episode.findings
        )
        parts.append(f'<ul class="failed">{items}</ul>')
    if episode.began_at is not None:
        parts.append(f'<div class="scroll">{timeline(episode)}</div>')
        parts.append('<p class="soft">Triangles: noticed. Dashed line: all is well again.</p>')
        names = (f"{name} {_seconds(values)}" for name, values in episode.measures.times.items())
        parts.append(f"<p>{', '.join(names)}</p>")
        parts.append(f"<p>{_machine(episode)}</p>")
        noticed = "".join(f"<li>{one.seconds:.2f} s: {escape(one.what)}</li>" for one in episode.records.seen)
        parts.append(f"<p>Noticed:</p><ul>{noticed}</ul>" if noticed else "")
    return "\n".join([*parts, "</section>"])


def _machine(episode: Episode) -> str:
    """Return what the machine was like, and whether the stack grew."""
    state = episode.machine
    if not state.memory_mb:
        return "The machine was not watched."
    return (
        f"Memory of the stack {state.memory_first_mb:.0f} MB at first and {state.memory_mb:.0f} MB at most; "
        f"load {state.load:.1f} at most; all cores {state.busy:.0%} busy."
    )


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _anchor(episode: Episode) -> str:
    return f"{episode.scenario.name}-{episode.seed}"


def _seconds(values: Sequence[float]) -> str:
    return f"{shown(max(values))} s" if values else ""
