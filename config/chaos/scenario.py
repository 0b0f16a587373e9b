"""A scenario: what is sent, what is broken meanwhile, and what must be seen. Read from the files in ``scenarios/``."""

import random
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "scenarios"
PROTECTION, CHECKER = "protection", "checker"
_FAULT_FIELDS = ("kind", "at", "seconds", "target", "detect")


class ScenarioError(Exception):
    """A scenario file cannot be used, or there is none of that name; the message says why."""


@dataclass(frozen=True, slots=True)
class Load:
    """Orders at a steady rate. ``draw`` names the mix, ``times`` how often each is sent at once under its key."""

    orders: int = 60
    rate: float = 15.0
    draw: str = "mixed"
    times: int = 1


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """One fault as planned; times are seconds since the first order.

    ``at`` and ``seconds`` are ranges that a seed draws from. Without ``seconds`` the fault is a single blow that the
    system itself must recover from. ``detect`` says which record counts as having noticed it; empty: a mere condition.
    """

    kind: str
    at: tuple[float, float]
    seconds: tuple[float, float] | None
    target: str
    detect: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault of one episode, with its times drawn."""

    plan: FaultPlan
    at: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Sabotage:
    """What is taken away to show that the scenario can fail, and the invariants of which one must then be broken.

    ``protections`` are switched off, circuits in ``disabled`` let everything through, ``statement`` changes rows until
    ``undo``; ``faults`` come on top of the scenario's own or, with ``replaces``, in their place; ``load`` takes the
    place of its own. Without ``aftermath`` no order is sent once all is healed: it would carry along what the harm
    left behind. ``give_back`` names protections that are there again once a fault of the kind named has begun.

    ``shows`` is what a red run proves: that its own ``protection`` is what keeps this scenario green, or, where it
    would be red without the scenario's faults as well, only that the ``checker`` sees such harm.
    """

    protections: tuple[str, ...]
    harm: tuple[str, ...]
    shows: str = PROTECTION
    give_back: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[FaultPlan, ...] = ()
    settle_seconds: float = 25.0
    load: Load | None = None
    disabled: tuple[str, ...] = ()
    aftermath: bool = True
    replaces: bool = False
    statement: str = ""
    undo: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. ``sharp`` names the invariants that it is about; all are checked always.

    ``needs_no_past``: it runs before the others, on a stack where nothing was broken yet.
    """

    number: int
    name: str
    title: str
    expected: str
    load: Load
    faults: tuple[FaultPlan, ...]
    sharp: tuple[str, ...]
    expect: tuple[str, ...] = ()
    in_ci: bool = False
    needs_no_past: bool = False
    needs_person: bool = False
    calls_per_order: float = 3.0
    settle_seconds: float = 120.0
    not_run: str = ""
    sabotage: Sabotage | None = None
    measures: tuple[str, ...] = field(default=("detection", "recovery", "reconciliation"))

    def drawn(self, chance: random.Random, *, sabotaged: bool = False) -> list[PlannedFault]:
        """Return the faults in the order of their beginning, with times drawn from their ranges."""
        sabotage = self.sabotage if sabotaged else None
        own = () if sabotage and sabotage.replaces else self.faults
        extra = sabotage.faults if sabotage else ()
        planned = [
            PlannedFault(plan, chance.uniform(*plan.at), chance.uniform(*plan.seconds) if plan.seconds else None)
            for plan in (*own, *extra)
        ]
        return sorted(planned, key=lambda fault: fault.at)


def read_scenario(path: Path) -> Scenario:
    """Read one file.

    Raises:
        ScenarioError: It is not a scenario; the message names the file and what is wrong.
    """
    try:
        content = tomllib.loads(path.read_text())
        sabotage = content.pop("sabotage", None)
        values: dict[str, Any] = {
            **{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()},
            "load": Load(**content.get("load", {})),
            "faults": _plans(content.get("faults", ())),
            "sabotage": _sabotage(sabotage) if sabotage else None,
        }
        return Scenario(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise ScenarioError(f"{path.name}: {type(error).__name__}: {error}") from error


def read_all(folder: Path = FOLDER) -> list[Scenario]:
    """Return all scenarios by number.

    Raises:
        ScenarioError: A file is wrong, or two have one name or number.
    """
    scenarios = sorted(map(read_scenario, folder.glob("*.toml")), key=lambda one: one.number)
    for names in ([one.name for one in scenarios], [str(one.number) for one in scenarios]):
        if len(set(names)) < len(names):
            raise ScenarioError(f"used twice: {sorted({name for name in names if names.count(name) > 1})}")
    return scenarios


def select(names: Iterable[str], scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Return the scenarios meant by names, numbers, ``all`` or ``ci``, in the order to run them in.

    Raises:
        ScenarioError: A name is of none.
    """
    chosen: dict[str, Scenario] = {}
    for name in names:
        found = [
            one
            for one in scenarios
            if name in (one.name, str(one.number), "all") or (name == "ci" and one.in_ci and not one.not_run)
        ]
        if not found:
            raise ScenarioError(f"no scenario {name!r}; there are: {', '.join(one.name for one in scenarios)}")
        chosen.update({one.name: one for one in found})
    return sorted(chosen.values(), key=lambda one: (not one.needs_no_past, one.number))


def _plans(entries: Iterable[Mapping[str, Any]]) -> tuple[FaultPlan, ...]:
    return tuple(
        FaultPlan(
            kind=entry["kind"],
            at=_range(entry.get("at", 0.0)),
            seconds=_range(entry["seconds"]) if "seconds" in entry else None,
            target=entry.get("target", ""),
            detect=entry.get("detect", ""),
            options={name: value for name, value in entry.items() if name not in _FAULT_FIELDS},
        )
        for entry in entries
    )


def _sabotage(entry: Mapping[str, Any]) -> Sabotage:
    known = {one.name for one in fields(Sabotage)}
    if unknown := set(entry) - known:
        raise ValueError(f"sabotage has no {', '.join(sorted(unknown))}")
    if entry.get("shows", PROTECTION) not in (PROTECTION, CHECKER):
        raise ValueError(f"sabotage shows {PROTECTION!r} or {CHECKER!r}, not {entry['shows']!r}")
    return Sabotage(
        **{
            **entry,
            "protections": tuple(entry.get("protections", ())),
            "harm": tuple(entry["harm"]),
            "disabled": tuple(entry.get("disabled", ())),
            "faults": _plans(entry.get("faults", ())),
            "load": Load(**entry["load"]) if "load" in entry else None,
        }
    )


def _range(value: float | Sequence[float]) -> tuple[float, float]:
    if isinstance(value, int | float):
        return float(value), float(value)
    low, high = value
    return float(low), float(high)
