"""The parts of an installation this app looks at; limits are where an operator should know, not where it breaks."""

import shutil
import time
from datetime import datetime
from pathlib import Path

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from reliability import dispatch
from reliability.conf import get_conf
from reliability.core.degradation import Health
from reliability.core.health import Finding, by_limits
from reliability.selectors.jobs import list_lanes
from reliability.selectors.processes import ProcessStatus, list_processes
from reliability.services.circuits.store import connect
from reliability.services.health import register_check

CLOCK_DEGRADED_SECONDS, CLOCK_DOWN_SECONDS = 0.5, 1.0
TICK_DEGRADED_SECONDS, TICK_DOWN_SECONDS = 10.0, 30.0
LAG_DEGRADED_SECONDS, LAG_DOWN_SECONDS = 5.0, 60.0
DISK_DEGRADED_USED, DISK_DOWN_USED = 0.9, 0.97
_REDIS_SECONDS = 0.5
_REDIS_KEY, _REDIS_KEY_SECONDS = "stanchion:health", 60


def register_checks() -> None:
    """Have this app's parts looked at; call it once, as the app starts."""
    register_check("database", look_at_database, critical=True, critical_when_silent=True)
    register_check("migrations", look_at_migrations, critical=True)
    register_check("redis", look_at_redis)
    register_check("message broker", look_at_message_broker)
    register_check("workers", look_at_workers, critical=True)
    register_check("beat", look_at_beat)
    register_check("sentinel", look_at_sentinel)
    register_check("lanes", look_at_lanes)
    register_check("disk", look_at_disk)
    register_check("clock", look_at_clock)


def look_at_database() -> Finding:
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity WHERE backend_type = "
            "'client backend'"
        )
        used, most = cursor.fetchone()
    facts = {"latency_ms": round(1000 * (time.monotonic() - began), 1), "connections": used, "max_connections": most}
    health = by_limits(used / most, 0.8, 0.95)
    return Finding(health, f"answers; {used} of {most} connections are in use", facts)


_is_migrated = False


def look_at_migrations() -> Finding:
    """Once the schema is as this code wants it, it stays so for the life of the process."""
    global _is_migrated
    if not _is_migrated:
        executor = MigrationExecutor(connection)
        missing = [str(one) for one, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
        if missing:
            return Finding(Health.DOWN, f"{len(missing)} migrations are not applied", {"missing": missing[:20]})
        _is_migrated = True
    return Finding(Health.NORMAL, "the schema is as this version wants it")


def look_at_redis() -> Finding:
    """Ask by writing: a server that is full, or only reads, answers a ping and is of no use to us."""
    began = time.monotonic()
    with connect(get_conf().redis_url, _REDIS_SECONDS) as client:
        client.set(_REDIS_KEY, "1", ex=_REDIS_KEY_SECONDS)
    return Finding(Health.NORMAL, "answers", {"latency_ms": round(1000 * (time.monotonic() - began), 1)})


def look_at_message_broker() -> Finding:
    depths = dispatch.queue_depths([lane.name for lane in list_lanes()])
    return Finding(Health.NORMAL, f"answers; {sum(depths.values())} messages wait", {"messages": depths})


def look_at_workers() -> Finding:
    """Every lane needs a pool process that lives; a lane without one is named."""
    workers = [one for one in list_processes() if one.kind == "worker" and one.state in ("alive", "silent")]
    alive = [one for one in workers if one.state == "alive"]
    served = {lane for one in alive for lane in one.name.removeprefix("worker ").split("+")}
    lanes = [lane.name for lane in list_lanes()]
    unserved = [lane for lane in lanes if lane not in served]
    facts = {"alive": len(alive), "silent": len(workers) - len(alive), "unserved_lanes": unserved}
    if not alive or len(unserved) == len(lanes):
        return Finding(Health.DOWN, "no worker lives", facts)
    if unserved:
        return Finding(Health.DEGRADED, f"no worker serves {', '.join(unserved)}", facts)
    if facts["silent"]:
        return Finding(Health.DEGRADED, f"{facts['silent']} pool processes are silent", facts)
    return Finding(Health.NORMAL, f"{len(alive)} pool processes live", facts)


def look_at_beat() -> Finding:
    leader = _leader("beat")
    if leader is None:
        return Finding(Health.DOWN, "no beat leads: nothing is scheduled")
    age = max(0.0, time.time() - float(leader.detail.get("ticked_at", leader.started_at.timestamp())))
    health = by_limits(age, TICK_DEGRADED_SECONDS, TICK_DOWN_SECONDS)
    return Finding(health, f"ticked {age:.1f} s ago", {"tick_age_seconds": round(age, 1)})


def look_at_sentinel() -> Finding:
    leader = _leader("sentinel")
    if leader is None:
        return Finding(Health.DOWN, "no sentinel leads: lost jobs are found by their leases only")
    return Finding(Health.NORMAL, "leads", {"heartbeat_age_seconds": round(_age(leader.beat_at), 1)})


def look_at_lanes() -> Finding:
    lanes = list_lanes()
    lags = {lane.name: _age(lane.oldest_due_at) for lane in lanes if lane.paused_at is None}
    paused = [lane.name for lane in lanes if lane.paused_at is not None]
    longest = max(lags, key=lambda name: lags[name], default="")
    health = by_limits(lags.get(longest, 0.0), LAG_DEGRADED_SECONDS, LAG_DOWN_SECONDS)
    facts = {"lag_seconds": {name: round(lag, 1) for name, lag in lags.items()}, "paused": paused}
    if health is not Health.NORMAL:
        return Finding(health, f"a job of {longest} has been due for {lags[longest]:.0f} s", facts)
    if paused:
        return Finding(Health.DEGRADED, f"paused by a person: {', '.join(paused)}", facts)
    return Finding(Health.NORMAL, "nothing is overdue", facts)


def look_at_disk() -> Finding:
    usage = shutil.disk_usage(Path.cwd())
    used = 1 - usage.free / usage.total
    facts = {"free_bytes": usage.free, "total_bytes": usage.total}
    return Finding(by_limits(used, DISK_DEGRADED_USED, DISK_DOWN_USED), f"{used:.0%} used", facts)


def look_at_clock() -> Finding:
    """Compare this machine's clock with PostgreSQL's, as of the middle of the round trip."""
    connection.ensure_connection()
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float")
        (theirs,) = cursor.fetchone()
    after = time.time()
    uncertain, offset = (after - before) / 2, theirs - (before + after) / 2
    health = by_limits(abs(offset) - uncertain, CLOCK_DEGRADED_SECONDS, CLOCK_DOWN_SECONDS)
    facts = {"offset_seconds": round(offset, 4), "uncertainty_seconds": round(uncertain, 4)}
    return Finding(health, f"{abs(offset):.3f} s {'behind' if offset > 0 else 'ahead of'} PostgreSQL's", facts)


def _leader(kind: str) -> ProcessStatus | None:
    living = (one for one in list_processes() if one.kind == kind and one.state == "alive")
    return next((one for one in living if one.detail.get("leader") is True), None)


def _age(moment: datetime | None) -> float:
    return 0.0 if moment is None else max(0.0, (timezone.now() - moment).total_seconds())
