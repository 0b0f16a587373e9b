"""Freezing by itself what time makes doubtful, and ending what one clean look ends: in the sentinel that leads."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from brokers.core.freezes import FreezeCause
from brokers.selectors.freezes import account_freezes
from brokers.selectors.recovery import (
    AccountName,
    AccountSigns,
    clock_skews,
    last_releases,
    list_account_names,
    list_account_signs,
    list_streams,
    list_unknown_orders,
    synced_instants,
)
from brokers.services.accounts import get_profile
from brokers.services.freezes import freeze_trading, release_freeze
from brokers.services.guards import CallClass, get_guard
from reconciliation.core.freeze import AccountView, RefusedLogin, StreamView, UnknownOrder, ended_causes, wanted_freezes
from reconciliation.core.recovery import RecoveryState
from reconciliation.core.runs import RunState
from reconciliation.models import ReconciliationRun, RecoveryRun
from reconciliation.selectors.schedule import reconciliation_period
from reliability.core.errors import ReliabilityError
from reliability.selectors.jobs import dead_subjects

BY = "watch"


def watch_freezes() -> None:
    """Freeze what the policy wants frozen, and release what is over by facts. Raises ``DatabaseError``."""
    for account, view in list_views():
        wanted = wanted_freezes(view)
        in_force = {freeze.cause: freeze.id for freeze in account_freezes(account.name)}
        with transaction.atomic():
            for one in wanted:
                freeze_trading(one.scope, one.mode, one.cause, reason=one.reason, evidence=one.evidence, by=BY)
        for cause, reason in ended_causes(view, in_force).items():
            _release(in_force[cause], reason)


def list_views() -> list[tuple[AccountName, AccountView]]:
    """Return what is known of every account in use, each fact read once for all of them."""
    now = timezone.now()
    streams = {one.account_id: one for one in list_streams() if one.generation}
    synced, skews, unknown = synced_instants(), clock_skews(), _unknown_orders()
    running = set(RecoveryRun.objects.filter(state=RecoveryState.RUNNING).values_list("account_id", flat=True))
    recovered = _last(RecoveryRun.objects.filter(state=RecoveryState.RECOVERED), "finished_at")
    verdicts = _last(ReconciliationRun.objects.filter(state__in=(RunState.CLEAN, RunState.DIFFERENCES)), "finished_at")
    period = reconciliation_period()
    signs, released = list_account_signs(), last_releases(FreezeCause.AUTH_FAILURE)
    views = []
    for account in list_account_names():
        stream, sign = streams.get(account.id), signs[account.id]
        view = AccountView(
            now=now,
            account=account.name,
            stream=StreamView(stream.is_up, stream.connected_at, stream.alive_at, stream.error) if stream else None,
            snapshot_at=synced.get(account.id),
            is_recovering=account.id in running,
            recovered_at=recovered.get(account.id),
            can_look_up=_can_look_up(account.id),
            unknown=tuple(unknown.get(account.id, ())),
            verdict_at=verdicts.get(account.id),
            period=period,
            skew=skews.get(account.id),
            added_at=sign.added_at,
            login=_refused_login(sign, released.get(account.id)),
        )
        views.append((account, view))
    return views


def _unknown_orders() -> dict[int, list[UnknownOrder]]:
    rows = list_unknown_orders()
    stuck = dead_subjects([row.id for row in rows]) if rows else {}
    found: dict[int, list[UnknownOrder]] = {}
    for row in rows:
        order = UnknownOrder(str(row.id), row.symbol, row.sent_at, row.id in stuck)
        found.setdefault(row.account_id, []).append(order)
    return found


def _last(rows: QuerySet[Any], field: str) -> dict[int, datetime]:
    return {account: at for account, at in rows.order_by().values_list("account_id").annotate(last=Max(field)) if at}


def _refused_login(sign: AccountSigns, released_at: datetime | None) -> RefusedLogin | None:
    """Return how a login was refused since a person last let the account go on."""
    since, until = sign.login_refused_since, sign.login_refused_at
    if since is None or until is None or (released_at is not None and until <= released_at):
        return None
    return RefusedLogin(max(since, released_at or since), until, sign.login_refused)


def _can_look_up(account_id: int) -> bool:
    return get_guard(get_profile(account_id), CallClass.LOOK_UPS).wait_seconds() <= 0


def _release(freeze_id: int, reason: str) -> None:
    try:
        release_freeze(freeze_id, by=BY, reason=reason)
    except ReliabilityError as error:
        if error.code != "VALIDATION_WRONG_STATE":  # somebody was faster
            raise
