"""Noticing by itself what calls for a recovery: looked at by the sentinel that leads.

Streams and circuits, attempts that ended with their process, and what the installation stands on: PostgreSQL, Redis
and the machine. What was last seen is a row, so that a restart of everything is noticed by whoever leads next.
"""

import logging
from pathlib import Path
from uuid import uuid4

from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from brokers.core.freezes import FreezeCause
from brokers.selectors.freezes import account_freezes
from brokers.selectors.recovery import AccountName, accounts_of_orders, list_account_names, list_streams
from brokers.services.guards import CallClass, circuit_name
from reconciliation.core.recovery import RecoveryState, Surroundings, TriggerKind, notice
from reconciliation.models import RecoveryRun, RecoveryTrigger, Watchtower
from reconciliation.services.recovery import note_trigger, start_all_waiting
from reliability.selectors.disruptions import attempts_lost_after, circuits_closed_after, latest_disruption_ids

BY = "watch"
_MEMORY_KEY = "recovery:mark"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# What an account needs to know its state at the broker; data alone recovers nothing.
_TELLING = (CallClass.ORDERS, CallClass.LOOK_UPS, CallClass.READS)
_ENDED_BY_RECOVERY = frozenset({FreezeCause.RECOVERY, FreezeCause.STREAM_DOWN})

logger = logging.getLogger(__name__)


class _Watcher:
    """This process as one that looks: its name, and whether it failed to since it last could."""

    def __init__(self) -> None:
        self.name = uuid4().hex
        self.lost_database = False


_watcher = _Watcher()


def watch_disruptions() -> None:
    """Note what happened since the last look, and start the runs that follow. Raises ``DatabaseError``."""
    try:
        _look()
    except (DatabaseError, InterfaceError):
        _watcher.lost_database = True
        raise
    _watcher.lost_database = False
    start_all_waiting()


def _look() -> None:
    token = _memory_token()
    with transaction.atomic():
        accounts = list_account_names()
        tower = _tower(token)
        _notice_surroundings(tower, token, accounts)
        _notice_streams({account.id for account in accounts})
        _notice_circuits(tower, accounts)
        _notice_deaths(tower)
        tower.save()


def _tower(token: str | None) -> Watchtower:
    tower = Watchtower.objects.select_for_update().first()
    if tower is not None:
        return tower
    now = _surroundings(token)
    circuit_id, attempt_id = latest_disruption_ids()
    return Watchtower(
        seen_at=now.seen_at,
        database_started_at=now.database_started_at,
        boot_id=now.boot_id,
        memory_token=token or "",
        memory_away=token is None,
        watcher=now.watcher,
        circuit_id=circuit_id,
        attempt_id=attempt_id,
    )


def _notice_surroundings(tower: Watchtower, token: str | None, accounts: list[AccountName]) -> None:
    before = Surroundings(
        tower.seen_at,
        tower.database_started_at,
        tower.boot_id,
        tower.memory_token or None,
        tower.memory_away,
        tower.watcher,
    )
    now = _surroundings(token)
    for disruption in notice(before, now):
        logger.warning("disruption noticed", extra={"kind": disruption.kind.value, "reason": disruption.reason})
        for account in accounts:
            note_trigger(
                account.id,
                disruption.kind,
                disruption.key,
                since=disruption.since,
                by=BY,
                reason=disruption.reason,
            )
    tower.seen_at, tower.database_started_at, tower.boot_id = now.seen_at, now.database_started_at, now.boot_id
    tower.memory_token, tower.memory_away = token or tower.memory_token, token is None
    tower.watcher = now.watcher


def _surroundings(token: str | None) -> Surroundings:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp(), pg_postmaster_start_time()")
        seen_at, started_at = cursor.fetchone()
    boot_id = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    lost = _watcher.lost_database
    return Surroundings(seen_at, started_at, boot_id, token, watcher=_watcher.name, lost_database=lost)


def _memory_token() -> str | None:
    """Return the mark left in Redis, left anew where it is gone; None while Redis is away."""
    try:
        token = cache.get(_MEMORY_KEY)
        if token is None:
            cache.add(_MEMORY_KEY, uuid4().hex, timeout=None)
            token = cache.get(_MEMORY_KEY)
    except (RedisError, OSError):
        return None
    return str(token) if token is not None else None


def _notice_streams(accounts: set[int]) -> None:
    """A stream that stands in a generation nobody has recovered from yet is back."""
    streams = {one.account_id: one for one in list_streams() if one.is_up and one.account_id in accounts}
    keys = {account: f"stream:{one.generation}" for account, one in streams.items()}
    noticed = RecoveryTrigger.objects.filter(account_id__in=keys, key__in=set(keys.values()))
    known = set(noticed.values_list("account_id", "key"))
    for account, key in keys.items():
        if (account, key) in known:
            continue
        since = streams[account].connected_at or timezone.now()
        reason = f"The order stream was taken up for the {streams[account].generation}. time."
        note_trigger(account, TriggerKind.STREAM_RETURNED, key, since=since, by=BY, reason=reason)


def _notice_circuits(tower: Watchtower, accounts: list[AccountName]) -> None:
    for closed in circuits_closed_after(tower.circuit_id):
        tower.circuit_id = closed.id
        for account in accounts:
            if closed.circuit in {circuit_name(account.broker, one) for one in _TELLING}:
                reason = f"The circuit {closed.circuit} closed."
                key = f"circuit:{closed.id}"
                note_trigger(account.id, TriggerKind.BROKER_RETURNED, key, since=closed.at, by=BY, reason=reason)


def _notice_deaths(tower: Watchtower) -> None:
    """A process died that held work of an account's orders."""
    lost = attempts_lost_after(tower.attempt_id)
    if not lost:
        return
    tower.attempt_id = lost[-1].id
    accounts = accounts_of_orders({one.subject for one in lost if one.subject is not None})
    for one in lost:
        account = accounts.get(one.subject) if one.subject is not None else None
        if account is not None:
            key, reason = f"process:{one.pulse}", f"The process with the pulse {one.pulse} died holding {one.kind}."
            note_trigger(account, TriggerKind.PROCESS_DIED, key, since=one.at, by=BY, reason=reason)


def watch_left_frozen() -> None:
    """Note a trigger for each account that is frozen for a recovery nobody carries out. Raises ``DatabaseError``."""
    with transaction.atomic():
        _notice_left_frozen(list_account_names())


def _notice_left_frozen(accounts: list[AccountName]) -> None:
    """An account is frozen for its recovery, and none is under way: a run was overtaken, or took too long.

    One that found something wrong waits for a person; there is nothing to begin anew before the stream stands.
    """
    streams = {one.account_id: one for one in list_streams()}
    for account in accounts:
        frozen = [one for one in account_freezes(account.name) if one.cause in _ENDED_BY_RECOVERY]
        newest = RecoveryRun.objects.filter(account_id=account.id).order_by("-generation").first()
        if not frozen or (newest is not None and not _may_begin_anew(newest)):
            continue
        stream = streams.get(account.id)
        if stream is None or stream.is_up:
            key = f"frozen:{frozen[0].id}:{newest.generation if newest else 0}"
            reason = f"It is frozen ({frozen[0].cause.value.replace('_', ' ')}), and no recovery is under way."
            note_trigger(account.id, TriggerKind.STREAM_RETURNED, key, since=frozen[0].frozen_at, by=BY, reason=reason)


def _may_begin_anew(run: RecoveryRun) -> bool:
    if run.state == RecoveryState.RUNNING:
        return False
    return run.state != RecoveryState.FAILED or run.error_code == "SYSTEM_DEADLINE_PASSED"
