"""A campaign: many seeds of many scenarios, stopped and resumed as wanted, and one summary of all that was run.

Every finished episode is one line of a file, appended in one write and flushed before the next one begins. What is
there is not run again; a line that a kill tore is. A failing seed stays: nothing is repeated until it is green.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.chaos.facts import commit, describe
from config.chaos.run import Say, run_all
from config.chaos.scenario import Scenario, ScenarioError
from config.chaos.summary import EpisodeRow, as_json, as_plain, from_plain, row_of

Pair = tuple[Scenario, int]


def run_campaign(path: Path, scenarios: Sequence[Scenario], seeds: Sequence[int], minutes: float, say: Say) -> None:
    """Run what the file does not hold yet, until all is done or the time is over.

    Raises:
        ScenarioError: The file was begun on another commit; figures of two programs are not one sample.
    """
    facts, rows = read_file(path)
    if facts is None:
        append(path, {"kind": "campaign", **describe("chaos campaign", list(seeds))})
    elif facts["commit"] != commit():
        raise ScenarioError(f"{path} was begun on commit {facts['commit'][:12]}; name another file for this one")
    left = missing(rows, scenarios, seeds)
    say(f"{len(rows)} episodes are done, {len(left)} are left")
    deadline = time.monotonic() + minutes * 60
    for episode in run_all(left, say, go_on=lambda: time.monotonic() < deadline):
        append(path, {"kind": "episode", **as_plain(row_of(episode))})


def missing(rows: Sequence[EpisodeRow], scenarios: Sequence[Scenario], seeds: Sequence[int]) -> list[Pair]:
    """Return the pairs of scenario and seed that have no line yet, seed by seed."""
    done = {(row.scenario, row.seed) for row in rows}
    return [(one, seed) for seed in seeds for one in scenarios if (one.name, seed) not in done]


def read_file(path: Path) -> tuple[dict[str, Any] | None, list[EpisodeRow]]:
    """Return what the campaign was made on, and its rows; no facts where there is no file yet."""
    facts: dict[str, Any] | None = None
    rows: list[EpisodeRow] = []
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        if not line.endswith(b"\n"):
            break  # torn by a kill
        fields = json.loads(line)
        kind = fields.pop("kind")
        if kind == "campaign":
            facts = fields
        else:
            rows.append(from_plain(fields))
    return facts, rows


def append(path: Path, fields: dict[str, Any]) -> None:
    """Add one line in one write, on disk before this returns; a torn last line is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        whole = path.read_bytes().rfind(b"\n") + 1
        os.ftruncate(descriptor, whole)
        os.pwrite(descriptor, json.dumps(fields, default=str).encode() + b"\n", whole)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_summary(path: Path, target: Path) -> list[EpisodeRow]:
    """Write the figures of a campaign's file, with machine, commit and seeds; return its rows.

    Raises:
        ScenarioError: There is no such file.
    """
    facts, rows = read_file(path)
    if facts is None:
        raise ScenarioError(f"{path} is no campaign")
    content = as_json(rows, facts)
    content["episodes"] = [_short(one) for one in content["episodes"]]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content, indent=1) + "\n")
    return rows


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what only its own report needs."""
    return {name: value for name, value in row.items() if name not in ("faults", "seen", "circuits", "began_at")}
