"""What works and what does not right now: operations that apps declare, judged by the circuits they need."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from reliability.core.degradation import DeclaredOperation, Health, OperationHealth, judge, overall, since_of
from reliability.selectors.jobs import LaneStatus, list_lanes
from reliability.selectors.processes import ProcessStatus, list_processes
from reliability.services.circuit_board import Board, CircuitView, read_board

REDIS = "redis"
WORKERS = "workers"
_WORKER_KIND = "worker"

_declared: dict[tuple[str, str], DeclaredOperation] = {}
_obstacles: list[Callable[[], Iterable[OperationHealth]]] = []


def declare(operation: str, dependency_kind: str, fallback: str, *, still_works: bool = True) -> None:
    """Say what becomes of ``operation`` while a dependency does not work; call it once, as the app starts.

    Args:
        operation: What callers know it as, for example ``new orders``.
        dependency_kind: The class of circuits it needs (``orders`` stands for ``sim-a:orders`` and all its
            like; a circuit without a class is its own kind), or ``REDIS``, or ``WORKERS``.
        fallback: What happens instead, in words for a person.
        still_works: Whether callers may go on asking for it; otherwise it is refused meanwhile.
    """
    _declared[operation, dependency_kind] = DeclaredOperation(operation, dependency_kind, fallback, still_works)


def add_obstacles(read: Callable[[], Iterable[OperationHealth]]) -> None:
    """Ask ``read`` as well, for operations that are held back although every circuit lets calls through."""
    if read not in _obstacles:
        _obstacles.append(read)


declare("circuits", REDIS, "each process decides on its own counts; pins and settings stay as last seen")
declare("starting jobs", REDIS, "workers find due jobs by themselves, up to a quarter of a second later")
declare("jobs", WORKERS, "kept and carried out once a worker runs", still_works=True)


@dataclass(frozen=True, slots=True)
class DependencyHealth:
    """One dependency with its circuits and the operations that need it."""

    name: str
    health: Health
    since: datetime | None
    circuits: list[CircuitView]
    operations: list[OperationHealth]


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at one instant.

    ``unprotected``: circuits whose protection a person has switched off. ``obstacles``: what holds operations
    back besides circuits, Redis and workers.
    """

    health: Health
    since: datetime | None
    checked_at: datetime
    dependencies: list[DependencyHealth]
    missing_processes: list[ProcessStatus]
    paused_lanes: list[LaneStatus]
    unprotected: list[CircuitView]
    obstacles: list[OperationHealth]

    @property
    def affected(self) -> list[OperationHealth]:
        """The operations that are not as usual, those that are refused first."""
        found = [one for dependency in self.dependencies for one in dependency.operations]
        found = [one for one in (*found, *self.obstacles) if one.health is not Health.NORMAL]
        return sorted(found, key=lambda one: (one.works, one.operation, one.dependency))


def read_status(board: Board | None = None) -> Status:
    """Return what works and what does not; ``board`` saves reading the circuits again. Raises ``DatabaseError``."""
    board = board or read_board()
    processes, lanes = list_processes(), list_lanes()
    workers = [process for process in processes if process.kind == _WORKER_KIND]
    missing = [process for process in processes if process.state in ("silent", "died")]
    can_act = any(process.state == "alive" for process in workers)
    paused = [lane for lane in lanes if lane.paused_at is not None]
    dependencies = [*_by_circuits(board), _redis(board), _workers(workers, can_act=can_act)]
    obstacles = [one for read in _obstacles for one in read()]
    extra = [Health.DEGRADED] * bool(missing or paused or obstacles)
    health = overall([*(one.health for one in dependencies), *extra], can_act=can_act)
    moments = [one.since for one in dependencies if one.health is not Health.NORMAL]
    moments += [one.since for one in obstacles]
    moments += [lane.paused_at for lane in paused] + [process.ended_at or process.beat_at for process in missing]
    return Status(
        health=health,
        since=since_of(moments),
        checked_at=timezone.now(),
        dependencies=dependencies,
        missing_processes=missing,
        paused_lanes=paused,
        unprotected=[view for view in board.circuits if view.is_unprotected],
        obstacles=obstacles,
    )


def split_name(circuit: str) -> tuple[str, str]:
    """Return the dependency and the class of a circuit: ``sim-a:orders`` is ``sim-a`` and ``orders``."""
    dependency, _, kind = circuit.rpartition(":")
    return (dependency, kind) if dependency else (circuit, circuit)


def _by_circuits(board: Board) -> list[DependencyHealth]:
    grouped: dict[str, list[CircuitView]] = {}
    for view in sorted(board.circuits, key=lambda view: view.name):
        grouped.setdefault(split_name(view.name)[0], []).append(view)
    return [_dependency(name, views) for name, views in grouped.items()]


def _dependency(name: str, views: list[CircuitView]) -> DependencyHealth:
    operations = []
    for view in views:
        kind = split_name(view.name)[1]
        failing = view.is_refusing or view.is_proving
        declared = [one for one in _declared.values() if one.dependency_kind == kind]
        operations += [judge(one, name, is_failing=failing, since=view.since) for one in declared]
    failing_views = [view for view in views if view.is_refusing or view.is_proving]
    refuses_all = bool(views) and all(view.is_refusing for view in views)
    health = Health.DOWN if refuses_all else (Health.DEGRADED if failing_views else Health.NORMAL)
    return DependencyHealth(name, health, since_of(view.since for view in failing_views), views, operations)


def _redis(board: Board) -> DependencyHealth:
    operations = [
        judge(one, REDIS, is_failing=not board.is_reachable, since=None)
        for one in _declared.values()
        if one.dependency_kind == REDIS
    ]
    return DependencyHealth(REDIS, Health.NORMAL if board.is_reachable else Health.DOWN, None, [], operations)


def _workers(workers: list[ProcessStatus], *, can_act: bool) -> DependencyHealth:
    ended = [process.ended_at or process.beat_at for process in workers]
    since = None if can_act else max(ended, default=None)
    operations = [
        judge(one, WORKERS, is_failing=not can_act, since=since)
        for one in _declared.values()
        if one.dependency_kind == WORKERS
    ]
    return DependencyHealth(WORKERS, Health.NORMAL if can_act else Health.DOWN, since, [], operations)


def status_facts(status: Status) -> dict[str, Any]:
    """Return the status as plain data, for the API."""
    return {
        "status": status.health.value,
        "since": status.since,
        "checked_at": status.checked_at,
        "dependencies": [_dependency_facts(one) for one in status.dependencies],
        "affected": [operation_facts(one) for one in status.affected],
        "unprotected_circuits": [view.name for view in status.unprotected],
        "missing_processes": [
            {
                "name": process.name,
                "kind": process.kind,
                "host": process.host,
                "pid": process.pid,
                "state": process.state,
                "since": process.ended_at or process.beat_at,
            }
            for process in status.missing_processes
        ],
        "paused_lanes": [
            {"name": lane.name, "since": lane.paused_at, "reason": lane.paused_reason} for lane in status.paused_lanes
        ],
    }


def operation_facts(one: OperationHealth) -> dict[str, Any]:
    return {
        "operation": one.operation,
        "dependency": one.dependency,
        "status": one.health.value,
        "works": one.works,
        "fallback": one.fallback or None,
        "since": one.since,
    }


def _dependency_facts(one: DependencyHealth) -> dict[str, Any]:
    return {
        "name": one.name,
        "status": one.health.value,
        "since": one.since,
        "circuits": [
            {"name": view.name, "state": view.state.value, "since": view.since, "until": view.until}
            for view in one.circuits
        ],
        "operations": [operation_facts(operation) for operation in one.operations],
    }
