"""Who is told, when, and who then: chains of steps, rotas, and the waits between messages. Plain values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any

MOST_STEPS = 20
MOST_ROUNDS = 5
_CRITICAL_RANK = 1


class EscalationState(StrEnum):
    """Paging until somebody acknowledges; reminding whoever did; over with the incident, or with the last step."""

    PAGING = "paging"
    ACKNOWLEDGED = "acknowledged"
    EXHAUSTED = "exhausted"
    OVER = "over"


class TellingReason(StrEnum):
    """Why a message is sent: kept with it, so that nobody wonders."""

    FIRST = "first"
    ESCALATED = "escalated"
    NEW_ALERTS = "new_alerts"
    REPEATED = "repeated"
    REMINDER = "reminder"
    UNACKNOWLEDGED = "unacknowledged"
    RESOLVED = "resolved"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a chain: ``wait`` after the one before, then tell ``rotas`` and ``people``, by name."""

    wait: timedelta
    rotas: tuple[str, ...]
    people: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"wait_seconds": self.wait.total_seconds(), "rotas": list(self.rotas), "people": list(self.people)}


def steps_from(values: Any) -> tuple[Step, ...]:
    """Return the steps of ``[{"wait_seconds": 0, "rotas": ["desk"], "people": ["ann"]}, ...]``.

    Raises:
        ValueError: not a list of 1 to 20 such objects; says which step is wrong and how.
    """
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_STEPS:
        raise ValueError(f"steps are a list of 1 to {MOST_STEPS}")
    return tuple(_step(number, value) for number, value in enumerate(values, start=1))


def _step(number: int, value: Any) -> Step:
    if not isinstance(value, Mapping) or set(value) - {"wait_seconds", "rotas", "people"}:
        raise ValueError(f"step {number} has wait_seconds, rotas and people, and nothing else")
    wait = value.get("wait_seconds", 0)
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait <= 86_400:
        raise ValueError(f"step {number}: wait_seconds is a number from 0 to 86400")
    rotas, people = (_names(number, name, value.get(name, [])) for name in ("rotas", "people"))
    if not rotas and not people:
        raise ValueError(f"step {number} tells nobody")
    return Step(timedelta(seconds=wait), rotas, people)


def _names(number: int, field: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and 0 < len(name) <= 64 for name in value):
        raise ValueError(f"step {number}: {field} is a list of names")
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Shift:
    """When one person is on call: weekdays (0 is Monday) and hours in UTC; ``start`` after ``end`` spans midnight."""

    person: str
    weekdays: frozenset[int]
    start: time
    end: time
    place: int = 0

    def covers(self, at: datetime) -> bool:
        """Return whether this shift is on at an instant in UTC; a shift belongs to the day it begins on."""
        now, day = at.time(), at.weekday()
        if self.start < self.end:
            return day in self.weekdays and self.start <= now < self.end
        if now >= self.start:
            return day in self.weekdays
        return now < self.end and (day - 1) % 7 in self.weekdays


def on_call(shifts: Sequence[Shift], at: datetime) -> tuple[str, ...]:
    """Return who is on call at an instant, in the rota's order, each once; nobody is an empty answer."""
    covering = sorted((shift for shift in shifts if shift.covers(at)), key=lambda shift: shift.place)
    return tuple(dict.fromkeys(shift.person for shift in covering))


def group_wait(severity_rank: int) -> timedelta:
    """Return how long to wait for further alerts of an incident before telling of it: not at all if critical."""
    return timedelta(0) if severity_rank <= _CRITICAL_RANK else timedelta(seconds=10)


def repeat_interval(severity_rank: int) -> timedelta:
    """Return after how long a message is repeated while nobody has acknowledged and no step is due."""
    return timedelta(minutes=15) if severity_rank <= _CRITICAL_RANK else timedelta(hours=1)


def reminder_interval(severity_rank: int) -> timedelta:
    """Return how long after an acknowledgement its author is reminded, and then again until it is taken back."""
    return timedelta(minutes=10) if severity_rank <= _CRITICAL_RANK else timedelta(minutes=30)


UPDATE_INTERVAL = timedelta(minutes=5)
