"""Pause and resume lanes."""

from django.db import transaction
from django.utils import timezone

from reliability import dispatch
from reliability.core.errors import ReliabilityError
from reliability.models import Lane
from reliability.services.audit import record_audit


def pause_lane(name: str, *, actor: str, reason: str) -> None:
    """Stop claiming jobs of a lane everywhere; work under way goes on. Raises if it is paused already."""
    with transaction.atomic():
        changed = Lane.objects.filter(name=name, paused_at=None).update(
            paused_at=timezone.now(), paused_by=actor, paused_reason=reason
        )
        _require_change(name, changed, "paused")
        record_audit(actor, "pause_lane", f"lane:{name}", after={"paused": True}, reason=reason)


def resume_lane(name: str, *, actor: str, reason: str) -> None:
    """Let a paused lane go on. Raises if it is not paused."""
    with transaction.atomic():
        changed = Lane.objects.filter(name=name, paused_at__isnull=False).update(
            paused_at=None, paused_by="", paused_reason=""
        )
        _require_change(name, changed, "running")
        record_audit(actor, "resume_lane", f"lane:{name}", after={"paused": False}, reason=reason)
        dispatch.nudge_on_commit(name)


def _require_change(name: str, changed: int, state: str) -> None:
    if changed:
        return
    if not Lane.objects.filter(name=name).exists():
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no lane called {name!r}.")
    raise ReliabilityError("VALIDATION_WRONG_STATE", f"The lane {name!r} is {state} already.")


def set_lane_concurrency(name: str, concurrency: int, *, actor: str) -> None:
    """Set how many calls of a lane one pool process has under way at once."""
    with transaction.atomic():
        lane = Lane.objects.select_for_update().filter(name=name).first()
        if lane is None:
            raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no lane called {name!r}.")
        before, lane.concurrency = lane.concurrency, concurrency
        lane.save(update_fields=["concurrency"])
        record_audit(
            actor,
            "set_lane_concurrency",
            f"lane:{name}",
            before={"concurrency": before},
            after={"concurrency": concurrency},
        )
