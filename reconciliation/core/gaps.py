"""Gaps: runs of expected bars that are not there, and what becomes of recorded gaps when data changes.

Positions are places in a ``SlotGrid``; a run of positions is one gap however much closed time lies in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciliation.core.slots import SlotGrid


class GapState(StrEnum):
    FOUND = "found"
    FILLING = "filling"
    FILLED = "filled"
    UNFILLABLE = "unfillable"  # every source was asked and none has the bars
    ACCEPTED = "accepted"  # a person, or the feed's policy, says that nothing is missing
    MERGED = "merged"  # became part of another gap


OPEN_STATES = (GapState.FOUND, GapState.FILLING, GapState.UNFILLABLE, GapState.ACCEPTED)


class GapCause(StrEnum):
    MISSING = "missing"  # no bar came
    QUESTIONABLE = "questionable"  # a bar came and cannot be used


class GapPolicy(StrEnum):
    """Which expected slots without a bar are gaps."""

    EVERY_SLOT = "every_slot"  # each expected bar is there, or it is a gap
    WHEN_TRADED = "when_traded"  # no trade, no bar: only a session without a single bar is a gap


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """Positions ``first`` to ``last``, both missing, and all between them."""

    first: int
    last: int

    @property
    def missing(self) -> int:
        return self.last - self.first + 1


def runs_of(positions: Iterable[int]) -> list[Run]:
    """Join single positions, in any order, into runs."""
    runs: list[Run] = []
    for position in sorted(set(positions)):
        if runs and runs[-1].last == position - 1:
            runs[-1] = Run(runs[-1].first, position)
        else:
            runs.append(Run(position, position))
    return runs


def missing_runs(grid: SlotGrid, steps: Iterable[tuple[int, int]]) -> Iterator[Run]:
    """Yield the runs of expected bars inside ``steps``: pairs of stamps of bars with no bar between them, in order.

    Runs that meet across a bar outside the calendar are one run.
    """
    waiting: Run | None = None
    for before, after in steps:
        first, last = grid.position(before + 1), grid.position(after) - 1
        if last < first:
            continue
        if waiting is not None and waiting.last == first - 1:
            waiting = Run(waiting.first, last)
            continue
        if waiting is not None:
            yield waiting
        waiting = Run(first, last)
    if waiting is not None:
        yield waiting


def without(runs: Iterable[Run], taken: Iterable[int]) -> list[Run]:
    """Return ``runs`` less the positions ``taken``, split where those lie inside."""
    holes = sorted(set(taken))
    if not holes:
        return list(runs)
    kept: list[Run] = []
    for run in runs:
        start = run.first
        for hole in (place for place in holes if run.first <= place <= run.last):
            if hole > start:
                kept.append(Run(start, hole - 1))
            start = hole + 1
        if start <= run.last:
            kept.append(Run(start, run.last))
    return kept


@dataclass(frozen=True, slots=True)
class KnownGap:
    """A recorded gap that is not over: its row's id, where it is now, and its state."""

    id: int
    run: Run
    state: GapState


@dataclass(frozen=True, slots=True)
class GapChanges:
    """What the rows must become.

    ``resized`` rows keep their id, ``split`` are new rows out of a recorded one, ``merged`` gives for a row the
    row that took it in.
    """

    found: tuple[Run, ...] = ()
    filled: tuple[int, ...] = ()
    resized: tuple[tuple[int, Run], ...] = ()
    split: tuple[tuple[int, Run], ...] = ()
    merged: tuple[tuple[int, int], ...] = ()


def plan_changes(known: Sequence[KnownGap], missing: Sequence[Run]) -> GapChanges:
    """Compare recorded gaps with what is missing now, both of one series and over the same stretch.

    A recorded gap shrinks to what is still missing of it, is split when data arrived inside it, and is filled
    when nothing of it is missing. What is newly missing joins a ``found`` neighbour or is a new gap; ``found``
    gaps that meet become one. The decisions behind other states stay with exactly the bars they were made for.
    """
    filled: list[int] = []
    split: list[tuple[int, Run]] = []
    now: list[tuple[Run, int, GapState]] = []
    for gap in sorted(known, key=lambda one: one.run):
        pieces = _common(gap.run, missing)
        if not pieces:
            filled.append(gap.id)
            continue
        now.append((pieces[0], gap.id, gap.state))
        split.extend((gap.id, piece) for piece in pieces[1:])
    taken = [run for run, _, _ in now] + [run for _, run in split]
    fresh = _less(missing, taken)
    found, grown, merged = _join(now, fresh)
    before = {gap.id: gap.run for gap in known}
    resized = tuple((gap_id, run) for gap_id, run in sorted(grown.items()) if before[gap_id] != run)
    return GapChanges(tuple(found), tuple(filled), resized, tuple(split), tuple(merged))


def _common(run: Run, others: Sequence[Run]) -> list[Run]:
    return [
        Run(max(run.first, other.first), min(run.last, other.last))
        for other in others
        if other.first <= run.last and other.last >= run.first
    ]


def _less(runs: Sequence[Run], taken: Sequence[Run]) -> list[Run]:
    left = list(runs)
    for hole in taken:
        parts: list[Run] = []
        for run in left:
            if hole.last < run.first or hole.first > run.last:
                parts.append(run)
                continue
            if run.first < hole.first:
                parts.append(Run(run.first, hole.first - 1))
            if run.last > hole.last:
                parts.append(Run(hole.last + 1, run.last))
        left = parts
    return sorted(left)


def _join(
    now: Sequence[tuple[Run, int, GapState]], fresh: Sequence[Run]
) -> tuple[list[Run], dict[int, Run], list[tuple[int, int]]]:
    """Join touching runs: fresh ones with ``found`` gaps, and ``found`` gaps with each other."""
    grown = {gap_id: run for run, gap_id, _ in now}
    pieces: list[tuple[Run, int | None]] = [(run, gap_id) for run, gap_id, state in now if state is GapState.FOUND]
    pieces.extend((run, None) for run in fresh)
    found: list[Run] = []
    merged: list[tuple[int, int]] = []
    chain: Run | None = None
    owner: int | None = None

    def finish() -> None:
        if chain is None:
            return
        if owner is None:
            found.append(chain)
        else:
            grown[owner] = chain

    for run, gap_id in sorted(pieces, key=lambda piece: piece[0]):
        if chain is not None and run.first == chain.last + 1:
            chain = Run(chain.first, run.last)
            if owner is None:
                owner = gap_id
            elif gap_id is not None:
                merged.append((gap_id, owner))
                del grown[gap_id]
            continue
        finish()
        chain, owner = run, gap_id
    finish()
    return found, grown, merged
