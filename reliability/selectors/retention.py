"""Reading what is kept for how long, what holds keep, and what went."""

from typing import Any

from reliability.core.retention import Judged
from reliability.models import LegalHold, RetentionDrop, RetentionPolicy


def list_policies() -> list[RetentionPolicy]:
    return list(RetentionPolicy.objects.order_by("kind"))


def list_holds(*, in_force: bool = False, limit: int = 200) -> list[LegalHold]:
    """Return legal holds, newest first."""
    rows = LegalHold.objects.order_by("-id")
    return list((rows.filter(released_at=None) if in_force else rows)[:limit])


def list_drops(*, kind: str = "", after_id: int | None = None, limit: int = 100) -> list[RetentionDrop]:
    """Return what went, newest first; ``after_id`` goes on after the last one of a page."""
    rows = RetentionDrop.objects.order_by("-id")
    if kind:
        rows = rows.filter(kind=kind)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])


def policy_facts(policy: RetentionPolicy) -> dict[str, Any]:
    return {
        "kind": policy.kind,
        "description": policy.description,
        "keep_days": policy.keep_days,
        "is_exported": policy.is_exported,
        "last_run_at": policy.last_run_at,
        "last_error": policy.last_error,
        "due": policy.due,
        "held": policy.held,
    }


def hold_facts(hold: LegalHold) -> dict[str, Any]:
    return {
        "id": hold.pk,
        "kind": hold.kind,
        "starts_at": hold.starts_at,
        "ends_at": hold.ends_at,
        "reason": hold.reason,
        "placed_by": hold.placed_by,
        "placed_at": hold.placed_at,
        "released_by": hold.released_by,
        "released_at": hold.released_at,
        "released_reason": hold.released_reason,
    }


def drop_facts(drop: RetentionDrop) -> dict[str, Any]:
    return {
        "id": drop.pk,
        "kind": drop.kind,
        "piece": drop.piece,
        "starts_at": drop.starts_at,
        "ends_at": drop.ends_at,
        "rows": drop.rows,
        "exported_to": drop.exported_to,
        "sha256": drop.sha256,
        "seconds": drop.seconds,
        "actor": drop.actor,
        "dropped_at": drop.dropped_at,
    }


def judged_facts(judged: Judged) -> dict[str, Any]:
    piece = judged.piece
    return {
        "piece": piece.name,
        "starts_at": piece.starts_at,
        "ends_at": piece.ends_at,
        "fate": judged.fate.value,
        "holds": list(judged.holds),
    }
