"""Upkeep of what is kept: partitions ahead of time, and old pieces exported, checked and dropped.

One process does it at a time. A piece that was exported goes in one transaction of its own, with its record; an export
that was finished before a crash is simply written again. What is not exported goes in smaller parts, each with its own.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from reliability.conf import get_conf
from reliability.core.retention import Fate, Judged, Piece, judge_pieces
from reliability.models import RetentionDrop, RetentionPolicy
from reliability.services.audit import record_audit
from reliability.services.retention.exports import Export, ExportError, export_piece
from reliability.services.retention.holds import list_holds_in_force, lock_holds
from reliability.services.retention.keepers import ChangedPieceError, Keeper, Span, find_keeper, list_keepers

ROUND_SECONDS = 300.0
_LOCK = 7_103_010
_STATEMENT_LIMIT = "10min"  # a month of bars takes longer to export than an order's statement may
_LOCK_LIMIT = "2s"  # whoever waits for a table keeps all others waiting behind it

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    """What became of one kind: partitions made, pieces dropped with their rows, what is left, and what went wrong."""

    kind: str
    made: tuple[str, ...] = ()
    dropped: tuple[tuple[str, int], ...] = ()
    due: int = 0
    held: int = 0
    error: str = ""


def ensure_policies() -> None:
    """Have a row to tune for each kind."""
    rows = [
        RetentionPolicy(
            kind=one.kind, description=one.description, keep_days=one.keep_days, is_exported=one.is_exported
        )
        for one in list_keepers()
    ]
    RetentionPolicy.objects.bulk_create(rows, ignore_conflicts=True)


def plan(kind: str, now: datetime | None = None) -> list[Judged]:
    """Return what upkeep would drop of a kind, and what holds keep; changes nothing. Raises ``KeyError``."""
    keeper, at = find_keeper(kind), now or timezone.now()
    if keeper is None:
        raise KeyError(kind)
    policy = RetentionPolicy.objects.filter(kind=kind).first()
    keep_days = policy.keep_days if policy is not None else keeper.keep_days
    return _judge_old(keeper, keep_days, at)


def run_upkeep(*, actor: str, now: datetime | None = None, seconds: float = ROUND_SECONDS) -> list[UpkeepReport]:
    """Do the upkeep of every kind; begins no further piece after ``seconds``. Returns nothing if another does it.

    What goes wrong with one kind is in its report and its policy, and stops no other.

    Raises:
        DatabaseError: the database is away.
    """
    until = time.monotonic() + seconds
    at = now or timezone.now()
    ensure_policies()
    with _alone() as is_alone:
        if not is_alone:
            return []
        policies = {policy.kind: policy for policy in RetentionPolicy.objects.all()}
        return [_keep_up(keeper, policies[keeper.kind], at, until, actor) for keeper in list_keepers()]


def _keep_up(keeper: Keeper, policy: RetentionPolicy, at: datetime, until: float, actor: str) -> UpkeepReport:
    made: list[str] = []
    dropped: list[tuple[str, int]] = []
    judged: list[Judged] = []
    gone = 0
    error = ""
    try:
        with transaction.atomic():
            _limit()
            made = keeper.make_ahead(at)
        judged = _judge_old(keeper, policy.keep_days, at)
        for one in judged:
            if one.fate is Fate.DUE and time.monotonic() < until:
                rows, is_gone = _let_go(keeper, policy, one.piece, until, actor)
                gone += is_gone
                if rows or is_gone:
                    dropped.append((one.piece.name, rows))
    except (ExportError, ChangedPieceError, DatabaseError) as problem:
        error = str(problem).strip()[:500] or repr(problem)[:500]
        logger.warning("upkeep failed", extra={"kind": keeper.kind, "error": error})
    held = sum(one.fate is Fate.HELD for one in judged)
    due = sum(one.fate is Fate.DUE for one in judged) - gone
    changes = {"last_error": error, "due": due, "held": held, **({} if error or due else {"last_run_at": at})}
    RetentionPolicy.objects.filter(pk=policy.pk).update(**changes)
    return UpkeepReport(keeper.kind, tuple(made), tuple(dropped), due, held, error)


def _judge_old(keeper: Keeper, keep_days: int | None, at: datetime) -> list[Judged]:
    """Return the fate of the pieces that are old enough to go; of what is kept for good none is looked for."""
    if keep_days is None:
        return []
    with transaction.atomic():
        _limit()
        pieces = keeper.list_pieces(at - timedelta(days=keep_days))
    judged = judge_pieces(keeper.kind, pieces, keep_days, list_holds_in_force(), at)
    return [one for one in judged if one.fate is not Fate.KEPT]


def _let_go(keeper: Keeper, policy: RetentionPolicy, piece: Piece, until: float, actor: str) -> tuple[int, bool]:
    """Export a piece if its policy asks for it, and drop it.

    Returns how many rows went and whether those are all: not when a hold came in between, or the time was up.
    """
    if policy.is_exported:
        went = _drop(keeper, policy, piece, None, _export(keeper, piece), actor)
        return went or 0, went is not None
    rows = 0
    for number, span in enumerate(_split(keeper, piece)):
        went = _drop(keeper, policy, piece, span, None, actor) if not number or time.monotonic() < until else None
        if went is None:
            return rows, False
        rows += went
    return rows, True


def _split(keeper: Keeper, piece: Piece) -> list[Span | None]:
    with transaction.atomic():
        _limit()
        return keeper.split(piece)


def _drop(
    keeper: Keeper, policy: RetentionPolicy, piece: Piece, span: Span | None, export: Export | None, actor: str
) -> int | None:
    """Drop a piece, or a span of it, on record; returns how many rows went, or None if a hold keeps it."""
    with transaction.atomic():
        _limit()
        lock_holds()
        if any(hold.covers(keeper.kind, piece.starts_at, piece.ends_at) for hold in list_holds_in_force()):
            return None
        began = time.monotonic()
        rows = keeper.drop(piece, export.rows if export else None, span)
        RetentionDrop.objects.create(
            kind=keeper.kind,
            piece=piece.name,
            starts_at=piece.starts_at,
            ends_at=piece.ends_at,
            rows=rows,
            exported_to=str(export.path) if export else "",
            sha256=export.sha256 if export else "",
            seconds=round(time.monotonic() - began, 4),
            actor=actor,
        )
        facts = {"rows": rows, "exported_to": str(export.path) if export else ""}
        record_audit(actor, "retention_drop", piece.name, before=facts, reason=f"kept for {policy.keep_days} days")
    return rows


def _export(keeper: Keeper, piece: Piece) -> Export:
    directory = get_conf().export_directory
    if not directory:
        raise ExportError(f"{piece.name} is due and cannot be exported: STANCHION_EXPORT_DIR is not set")
    with transaction.atomic():
        _limit()
        return export_piece(keeper, piece, Path(directory))


def _limit() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET LOCAL statement_timeout = '{_STATEMENT_LIMIT}'; SET LOCAL lock_timeout = '{_LOCK_LIMIT}';"
            "SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL enable_seqscan = on"
        )


@contextmanager
def _alone() -> Iterator[bool]:
    """Hold the right to do upkeep for the block, or tell that another process has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        is_alone = bool(cursor.fetchone()[0])
    try:
        yield is_alone
    finally:
        if is_alone and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
