"""Accounts whose broker answers nothing: left out by new orders, and frozen when it lasts.

The stream processes find out (``brokers/services/streams``), also without any order being sent, so that
no order has to be lost in a call first. What they wrote is believed for a few seconds only: a stream
process that died says nothing about a broker.
"""

import threading
import time
from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode
from brokers.core.halts import Scope, ScopeKind
from brokers.models import Account, Freeze, StreamSession
from brokers.services.freezes import freeze_trading, release_freeze
from reliability.core.errors import ReliabilityError
from reliability.services.jobs.recall import recall_jobs
from reliability.services.prepared import fetch_prepared

FRESH_SECONDS = 0.25
BELIEVED_FOR = timedelta(seconds=5)
FROZEN_AFTER = timedelta(seconds=3)
_WATCHER = "streams"
_UNREACHABLE = """
SELECT account_id FROM brokers_streamsession WHERE unreachable_since IS NOT NULL AND checked_at > %s
"""


class _Board:
    """The accounts that cannot be reached, as this process last read them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._unreachable: frozenset[int] = frozenset()

    def unreachable(self) -> frozenset[int]:
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            asked_at = time.monotonic()
            found = frozenset(_read())
            with self._lock:
                if asked_at > self._read_at:
                    self._unreachable, self._read_at = found, asked_at
        return self._unreachable

    def forget(self) -> None:
        with self._lock:
            self._read_at = float("-inf")


_board = _Board()


def unreachable_accounts() -> frozenset[int]:
    """Return the accounts whose broker answers neither stream nor calls, as of at most 250 ms ago."""
    return _board.unreachable()


def forget_reachability() -> None:
    """Read again at the next question."""
    _board.forget()


def unreachable_wait_name(account: str) -> str:
    """Return what jobs of an account that cannot be reached wait for, as ``recall_jobs`` knows it."""
    return f"unreachable:{account}"


def freeze_unreachable(account_id: int, since: timedelta, reason: str) -> None:
    """Freeze an account that could not be reached for long enough, in the caller's transaction."""
    if since < FROZEN_AFTER or _freeze_of(account_id) is not None:
        return
    scope = Scope(ScopeKind.ACCOUNT, Account.objects.values_list("name", flat=True).get(pk=account_id))
    evidence = {"unreachable_seconds": round(since.total_seconds(), 1), "answer": reason[:300]}
    why = "The broker answers neither its order stream nor calls."
    freeze_trading(scope, FreezeMode.HALT, FreezeCause.BROKER_UNREACHABLE, reason=why, evidence=evidence, by=_WATCHER)


def call_back(account_id: int) -> None:
    """Let orders that wait for an account go on, in the caller's transaction: its broker answers again."""
    forget_reachability()
    recall_jobs(unreachable_wait_name(Account.objects.values_list("name", flat=True).get(pk=account_id)))


def release_if_seen(account_id: int) -> None:
    """Lift the freeze of an account once its broker answers and a snapshot begun after that was recorded.

    In the caller's transaction, after a synchronization.
    """
    freeze = _freeze_of(account_id)
    if freeze is None:
        return
    seen = StreamSession.objects.filter(
        account_id=account_id, unreachable_since=None, account__synced_at__gt=F("checked_at")
    )
    if not seen.exists():
        return
    try:
        release_freeze(
            freeze.pk, by=_WATCHER, reason="The broker answers again, and what happened meanwhile is recorded."
        )
    except ReliabilityError as error:
        if error.code != "VALIDATION_WRONG_STATE":  # else somebody lifted it in this very moment
            raise


def _freeze_of(account_id: int) -> Freeze | None:
    return Freeze.objects.filter(
        account_id=account_id, symbol="", cause=FreezeCause.BROKER_UNREACHABLE, released_at=None
    ).first()


def _read() -> list[int]:
    return [row[0] for row in fetch_prepared(_UNREACHABLE, [timezone.now() - BELIEVED_FOR])]
