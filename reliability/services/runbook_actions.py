"""Named actions that steps of runbooks may run: no shell and no SQL, only what is registered here and by other apps.

An action first plans: it reads, changes nothing, and returns exactly what it would do. What is carried out is that
plan, however much later; carried out twice it has the effect of once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reliability.core.errors import ReliabilityError
from reliability.core.jobs import JobState
from reliability.models import Job, Lane
from reliability.services.circuit_changes import require_circuit, reset_circuit
from reliability.services.jobs.deadletters import MOST_AT_ONCE, replay_dead_letters
from reliability.services.lanes import resume_lane


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do: its inputs, and a sentence for a person."""

    inputs: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """``plan`` takes what the runbook is about (without the scope's kind); ``carry_out`` the inputs, who, and why.

    ``reach`` says how much it touches, ``permission`` who may.
    """

    name: str
    reach: str
    permission: str
    plan: Callable[[str], Plan]
    carry_out: Callable[[Mapping[str, Any], str, str], str]


_ACTIONS: dict[str, Action] = {}


def register_action(action: Action) -> None:
    _ACTIONS[action.name] = action


def get_action(name: str) -> Action:
    """Raises ``ReliabilityError`` for an action that this installation does not have."""
    if name not in _ACTIONS:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"No action is called {name!r} here.")
    return _ACTIONS[name]


def list_actions() -> list[Action]:
    return [_ACTIONS[name] for name in sorted(_ACTIONS)]


def register_own_actions() -> None:
    for action in (
        Action("circuits.reset", "one circuit", "reliability.operate_circuit", _plan_reset, _reset),
        Action("jobs.replay_oldest", "one job", "reliability.operate_deadletter", _plan_oldest, _replay),
        Action("jobs.replay_all", "all jobs of a kind", "reliability.operate_deadletter", _plan_all, _replay),
        Action("lanes.resume", "one lane", "reliability.pause_lane", _plan_resume, _resume),
    ):
        register_action(action)


def _plan_reset(name: str) -> Plan:
    circuit = require_circuit(name)
    pinned = f" It stays pinned {circuit.pinned_state}." if circuit.pinned_state else ""
    return Plan({"circuit": name}, f"The circuit {name} is closed at once and forgets what it has counted.{pinned}")


def _reset(inputs: Mapping[str, Any], actor: str, reason: str) -> str:
    reset_circuit(inputs["circuit"], actor=actor, reason=reason)
    return f"The circuit {inputs['circuit']} was reset."


def _dead(kind: str, limit: int) -> list[int]:
    return list(Job.objects.filter(state=JobState.DEAD, kind=kind).order_by("id").values_list("pk", flat=True)[:limit])


def _plan_oldest(kind: str) -> Plan:
    ids = _dead(kind, 1)
    return Plan(
        {"ids": ids}, f"Job {ids[0]} runs again with fresh attempts." if ids else "No job of this kind is dead."
    )


def _plan_all(kind: str) -> Plan:
    ids = _dead(kind, MOST_AT_ONCE)
    return Plan({"ids": ids}, f"{len(ids)} jobs of this kind run again with fresh attempts.")


def _replay(inputs: Mapping[str, Any], actor: str, reason: str) -> str:
    ids = list(Job.objects.filter(pk__in=inputs["ids"], state=JobState.DEAD).values_list("pk", flat=True))
    if not ids:
        return "None of them is dead any more."
    return f"{replay_dead_letters(ids, actor=actor, reason=reason)} run again."


def _plan_resume(name: str) -> Plan:
    lane = Lane.objects.filter(name=name).first()
    if lane is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no lane called {name!r}.")
    text = (
        f"The lane goes on; {lane.paused_by} had paused it." if lane.paused_at else "It is not paused: nothing to do."
    )
    return Plan({"lane": name}, text)


def _resume(inputs: Mapping[str, Any], actor: str, reason: str) -> str:
    if not Lane.objects.filter(name=inputs["lane"], paused_at__isnull=False).exists():
        return "It is not paused."
    resume_lane(inputs["lane"], actor=actor, reason=reason)
    return f"The lane {inputs['lane']} is running."
