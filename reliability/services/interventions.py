"""Questions that only a person answers: claimed, acknowledged, decided; by two where orders or money move.

Apps register kinds: what can be chosen, and what carries a choice out, in the transaction of the decision.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.core.interventions import CLAIM_LEASE, PROPOSAL_LASTS, UNDECIDED, Choice, InterventionState
from reliability.core.taxonomy import ErrorSeverity
from reliability.core.text import storable
from reliability.models import Intervention
from reliability.services.alerting import Raising, end_alerts, raise_alerts
from reliability.services.audit import record_audit
from reliability.services.timeline import Happening, record_timeline

CONDITION = "intervention.needed"
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided: ``second`` is empty where one decides alone; ``evidence`` is what both had before them."""

    subject: str
    choice: str
    value: str
    reason: str
    actor: str
    second: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


CarryOut = Callable[[Decision], str]


@dataclass(frozen=True, slots=True)
class InterventionKind:
    """One kind of question. ``carry_out`` does what was decided and returns a sentence on it; it raises to refuse.

    ``permission`` is what whoever decides needs beside handling interventions; ``page`` returns the address of a page
    with everything known of a subject, or an empty string.
    """

    name: str
    choices: tuple[Choice, ...]
    carry_out: CarryOut
    permission: str
    due_in: timedelta = timedelta(minutes=15)
    page: Callable[[str], str] = lambda subject: ""


_KINDS: dict[str, InterventionKind] = {}


def register_intervention_kind(kind: InterventionKind) -> None:
    _KINDS[kind.name] = kind


def get_intervention_kind(name: str) -> InterventionKind:
    """Raises ``ReliabilityError`` for a kind of another version."""
    if name not in _KINDS:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"No kind of intervention is called {name!r} here.")
    return _KINDS[name]


@dataclass(frozen=True, slots=True)
class Question:
    """One question to open: ``details`` of its alert, for example the account it belongs to."""

    subject: str
    title: str
    evidence: Mapping[str, Any]
    details: Mapping[str, Any]


def open_interventions(kind_name: str, questions: Sequence[Question]) -> list[int]:
    """Ask questions that are not asked already, each with its alert, in the caller's transaction; returns new ids."""
    kind = get_intervention_kind(kind_name)
    known = set(
        Intervention.objects.filter(
            kind=kind_name, subject__in=[one.subject for one in questions], state__in=UNDECIDED
        ).values_list("subject", flat=True)
    )
    fresh = [one for one in questions if one.subject not in known]
    rows = [row for one in fresh if (row := _ask(kind, one)) is not None]
    details = {one.subject: dict(one.details) for one in fresh}
    raise_alerts(
        [
            Raising(CONDITION, row.subject, row.title, details={**details[row.subject], "intervention": row.pk})
            for row in rows
        ]
    )
    record_timeline(Happening("intervention", row.pk, "opened", to_state=InterventionState.OPEN) for row in rows)
    return [row.pk for row in rows]


def withdraw_interventions(kind_name: str, subjects: Sequence[str], *, reason: str) -> int:
    """Take back questions that answered themselves; returns how many."""
    with transaction.atomic():
        rows = list(
            Intervention.objects.select_for_update()
            .filter(kind=kind_name, subject__in=list(subjects), state__in=UNDECIDED)
            .order_by("pk")
        )
        for row in rows:
            _close(row, InterventionState.WITHDRAWN, "withdrawn", "", reason)
    return len(rows)


def acknowledge_intervention(pk: int, *, actor: str) -> None:
    """Say that somebody has seen it; its due time goes on. Raises ``ReliabilityError``."""
    with transaction.atomic():
        row = _lock(pk)
        if not row.acknowledged_by:
            row.acknowledged_by, row.acknowledged_at = actor, timezone.now()
            row.save(update_fields=["acknowledged_by", "acknowledged_at"])
            _note(row, "acknowledged", actor)


def claim_intervention(pk: int, *, actor: str) -> datetime:
    """Work on it alone for a quarter of an hour; again prolongs it. Returns until when.

    Raises:
        ReliabilityError: it is decided, or another person's claim lasts.
    """
    with transaction.atomic():
        row = _lock(pk)
        _require_free(row, actor)
        row.claimed_by, row.claimed_until = actor, timezone.now() + CLAIM_LEASE
        if not row.acknowledged_by:
            row.acknowledged_by, row.acknowledged_at = actor, timezone.now()
        row.save(update_fields=["claimed_by", "claimed_until", "acknowledged_by", "acknowledged_at"])
        _note(row, "claimed", actor)
        return row.claimed_until


def decide_intervention(pk: int, choice_name: str, *, value: str = "", actor: str, reason: str) -> InterventionState:
    """Decide it, or where two must agree propose it to a second person. Doing the same again changes nothing.

    Raises:
        ReliabilityError: it is decided otherwise, another person's claim lasts, no such choice, a value or the reason
            is missing, or what carries it out refuses.
    """
    reason = reason.strip()[:LONGEST_REASON]
    with transaction.atomic():
        row = _lock(pk, decided_too=True)
        if row.state == InterventionState.DECIDED and (row.choice, row.proposed_by) == (choice_name, actor):
            return InterventionState.DECIDED
        _require_undecided(row)
        _require_free(row, actor)
        choice = _choice(row, choice_name, value, reason)
        row.choice, row.value, row.reason = choice.name, value.strip()[:200], reason
        row.proposed_by, row.proposed_at = actor, timezone.now()
        if choice.needs_second:
            row.state = InterventionState.PROPOSED
            row.save()
            _note(row, "proposed", actor, reason, {"choice": choice.name, "value": row.value})
        else:
            _carry_out(row, actor, "")
    return InterventionState(row.state)


def confirm_intervention(pk: int, *, actor: str, proposal: str) -> str:
    """Agree as the second person to exactly what was shown, and carry it out; returns what happened.

    ``proposal`` is the digest of what the person saw. One that was changed since, or is an hour old, is not carried
    out: nobody agreed to it.

    Raises:
        ReliabilityError: nothing or something else is proposed, it is too old, it is one's own proposal, or what
            carries it out refuses.
    """
    with transaction.atomic():
        row = _lock(pk, decided_too=True)
        if row.state == InterventionState.DECIDED and row.decided_by == actor:
            return row.outcome
        _require_undecided(row)
        if row.state != InterventionState.PROPOSED:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "Nothing is proposed.")
        if row.proposed_by == actor:
            raise ReliabilityError("AUTH_PERMISSION_DENIED", "Another person than who proposed it confirms it.")
        if row.proposal != proposal:
            text = "Something else is proposed by now: look at it again." if proposal else "Say which proposal it is."
            raise ReliabilityError("VALIDATION_WRONG_STATE", text)
        if row.proposed_at is None or row.proposed_at < timezone.now() - PROPOSAL_LASTS:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "It was proposed over an hour ago: propose it again.")
        return _carry_out(row, row.proposed_by, actor)


def reject_intervention(pk: int, *, actor: str, reason: str) -> None:
    """Send a proposal back: the question is open again. Raises ``ReliabilityError``."""
    with transaction.atomic():
        row = _lock(pk)
        if row.state != InterventionState.PROPOSED:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "Nothing is proposed.")
        if not reason.strip():
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the rejection.")
        row.state, row.choice, row.value, row.proposed_by, row.proposed_at = InterventionState.OPEN, "", "", "", None
        row.save()
        _note(row, "rejected", actor, reason)


def check_due_interventions() -> None:
    """What is overdue is critical: its alert gets worse, once."""
    late = Intervention.objects.filter(state__in=UNDECIDED, due_at__lt=timezone.now())
    rows = list(late.filter(is_overdue=False).order_by("due_at")[:500])
    raise_alerts(
        [Raising(CONDITION, row.subject, f"Overdue: {row.title}", severity=ErrorSeverity.CRITICAL) for row in rows]
    )
    Intervention.objects.filter(pk__in=[row.pk for row in rows], state__in=UNDECIDED).update(is_overdue=True)
    record_timeline(Happening("intervention", row.pk, "overdue") for row in rows)


# -- inside ---------------------------------------------------------------------------------


def _ask(kind: InterventionKind, question: Question) -> Intervention | None:
    try:
        with transaction.atomic():
            return Intervention.objects.create(
                kind=kind.name,
                subject=question.subject[:200],
                title=question.title[:300],
                evidence=storable(dict(question.evidence)),
                choices=[choice.to_dict() for choice in kind.choices],
                due_at=timezone.now() + kind.due_in,
            )
    except IntegrityError:  # somebody asked it in this very moment
        return None


def _choice(row: Intervention, name: str, value: str, reason: str) -> Choice:
    choice = next((Choice(**one) for one in row.choices if one["name"] == name), None)
    if choice is None:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Choose one of what can be decided.")
    if not reason:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the decision.")
    if choice.wants and not value.strip():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"{choice.wants_label}: it is needed for this choice.")
    return choice


def _carry_out(row: Intervention, actor: str, second: str) -> str:
    kind = get_intervention_kind(row.kind)
    outcome = kind.carry_out(Decision(row.subject, row.choice, row.value, row.reason, actor, second, row.evidence))
    if not next(Choice(**one) for one in row.choices if one["name"] == row.choice).closes:
        _note(row, row.choice, actor, row.reason)
        row.choice, row.value, row.reason, row.proposed_by, row.proposed_at = "", "", "", "", None
        row.save()
        return outcome
    row.decided_by, row.decided_at = second or actor, timezone.now()
    _close(row, InterventionState.DECIDED, "decided", second or actor, row.reason, outcome)
    return outcome


def _close(row: Intervention, state: InterventionState, kind: str, actor: str, reason: str, outcome: str = "") -> None:
    before, row.state, row.outcome = row.state, state, outcome[:500]
    row.save()
    detail = {"choice": row.choice, "value": row.value, "proposed_by": row.proposed_by, "outcome": outcome}
    record_timeline([Happening("intervention", row.pk, kind, before, state, actor, reason, detail)])
    if actor:
        record_audit(actor, f"{kind}_intervention", f"intervention:{row.pk}", after=detail, reason=reason)
    end_alerts([(CONDITION, row.subject)], by=actor, reason=outcome or reason)


def _lock(pk: int, *, decided_too: bool = False) -> Intervention:
    row = Intervention.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no intervention {pk}.")
    if not decided_too:
        _require_undecided(row)
    return row


def _require_undecided(row: Intervention) -> None:
    if row.state not in UNDECIDED:
        who = f" by {row.decided_by}" if row.decided_by else ""
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"It is {row.state}{who}: {row.outcome or row.choice}.")


def _require_free(row: Intervention, actor: str) -> None:
    if row.claimed_by not in ("", actor) and row.claimed_until is not None and row.claimed_until > timezone.now():
        text = f"{row.claimed_by} works on it until {row.claimed_until:%H:%M:%S}Z."
        raise ReliabilityError("VALIDATION_WRONG_STATE", text)


def _note(row: Intervention, kind: str, actor: str, reason: str = "", detail: dict[str, Any] | None = None) -> None:
    record_timeline([Happening("intervention", row.pk, kind, row.state, row.state, actor, reason, detail or {})])
    record_audit(actor, f"{kind}_intervention", f"intervention:{row.pk}", after=detail, reason=reason)
