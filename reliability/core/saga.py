"""Sagas, without a database: what is next in a chain of steps, and in which order it is taken back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from reliability.core.jobs import JobError


class SagaState(StrEnum):
    """Where a saga stands; ``NEEDS_PERSON`` is a compensation that failed."""

    RUNNING = "running"
    COMPENSATING = "compensating"
    NEEDS_PERSON = "needs_person"
    SUCCEEDED = "succeeded"
    COMPENSATED = "compensated"
    CLOSED = "closed"


RESTORED = "restored"
"""Kind of the event of a saga that came back with a backup: what it did since then is not on record."""
ENDED = frozenset({SagaState.SUCCEEDED, SagaState.COMPENSATED, SagaState.CLOSED})


class StepState(StrEnum):
    """Where a step stands; ``STOPPED`` was begun and left when the saga turned back."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class CompensationState(StrEnum):
    NONE = "none"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class StepOrder(StrEnum):
    """One after another, all at once, or stage by stage: the steps of one stage together."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    STAGED = "staged"


class Phase(StrEnum):
    """What a step's job does: carry it out, or take it back."""

    RUN = "run"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One step, as far as deciding needs it; steps are numbered from 1. ``stage`` counts in staged sagas only."""

    number: int
    state: StepState = StepState.PENDING
    compensation: CompensationState = CompensationState.NONE
    stage: int = 0


@dataclass(frozen=True, slots=True)
class Moves:
    """What is to happen now: the saga's state, the steps to begin, and the one to take back."""

    state: SagaState
    begin: tuple[int, ...] = ()
    undo: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The step, or its compensation, is done; ``result`` is plain JSON data."""

    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot be done: a step is taken back with all before it, a compensation goes to a person."""

    error: JobError


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The attempt failed and is repeated while attempts are left; then it is ``Failed``."""

    error: JobError


@dataclass(frozen=True, slots=True)
class Waiting:
    """It is under way: look again after ``delay``; no attempt is spent."""

    delay: timedelta


Verdict = Finished | Failed | TryAgain | Waiting


def next_moves(state: SagaState, order: StepOrder, steps: Sequence[StepFacts]) -> Moves:
    """Return what follows from the rows of a saga; asking again after the moves were made gives none.

    A failed step turns the saga back. Every step that was begun is then taken back, also the
    failed one, which may have left something; one at a time, the highest number first. A
    compensation that failed stops the saga for a person. States that wait for a person, or
    have ended, have no moves.
    """
    if state is SagaState.RUNNING:
        if not any(step.state is StepState.FAILED for step in steps):
            return _forward(order, steps)
        state = SagaState.COMPENSATING
    return _backward(steps) if state is SagaState.COMPENSATING else Moves(state)


def _forward(order: StepOrder, steps: Sequence[StepFacts]) -> Moves:
    if all(step.state is StepState.DONE for step in steps):
        return Moves(SagaState.SUCCEEDED)
    pending = sorted(step.number for step in steps if step.state is StepState.PENDING)
    if order is StepOrder.PARALLEL:
        return Moves(SagaState.RUNNING, begin=tuple(pending))
    if order is StepOrder.STAGED:
        stage = min(step.stage for step in steps if step.state is not StepState.DONE)
        return Moves(SagaState.RUNNING, begin=tuple(sorted(_pending_of(steps, stage))))
    is_busy = any(step.state is StepState.RUNNING for step in steps)
    return Moves(SagaState.RUNNING, begin=() if is_busy else tuple(pending[:1]))


def _pending_of(steps: Sequence[StepFacts], stage: int) -> list[int]:
    return [step.number for step in steps if step.state is StepState.PENDING and step.stage == stage]


def _backward(steps: Sequence[StepFacts]) -> Moves:
    begun = [step for step in steps if step.state is not StepState.PENDING]
    compensations = {step.compensation for step in begun}
    if CompensationState.FAILED in compensations:
        return Moves(SagaState.NEEDS_PERSON)
    if CompensationState.RUNNING in compensations:
        return Moves(SagaState.COMPENSATING)
    left = [step.number for step in begun if step.compensation is CompensationState.NONE]
    if not left:
        return Moves(SagaState.COMPENSATED)
    return Moves(SagaState.COMPENSATING, undo=(max(left),))
