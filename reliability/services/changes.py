"""Changes that take two persons: one proposes, another agrees to exactly that content within the hour, and it is made.

Apps register kinds: who may propose, and what makes the change, in the transaction of the confirmation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from reliability.core.changes import PROPOSAL_LASTS, ChangeState
from reliability.core.errors import ReliabilityError
from reliability.core.text import storable
from reliability.models import ProposedChange
from reliability.services.audit import record_audit
from reliability.services.persons import APPROVE_PERMISSION, checked_reason, require_person
from reliability.services.secrets import seal, unseal


@dataclass(frozen=True, slots=True)
class AgreedChange:
    """What two persons agreed on. ``secret`` is empty where nothing is kept encrypted."""

    id: int
    subject: str
    content: Mapping[str, Any]
    secret: str
    reason: str
    proposed_by: str
    confirmed_by: str

    @property
    def actor(self) -> str:
        """Both persons, as they are written into records."""
        return f"{self.proposed_by} and {self.confirmed_by}"[:150]


@dataclass(frozen=True, slots=True)
class ChangeKind:
    """One kind of change. ``make`` makes it and returns a sentence on it; it raises ``ReliabilityError`` to refuse.

    ``permission`` is what whoever proposes needs, when it is proposed and still when it is confirmed; ``may`` says in
    words what that allows.
    """

    name: str
    permission: str
    may: str
    make: Callable[[AgreedChange], str]


_KINDS: dict[str, ChangeKind] = {}


def register_change_kind(kind: ChangeKind) -> None:
    _KINDS[kind.name] = kind


def get_change_kind(name: str) -> ChangeKind:
    """Raises ``ReliabilityError`` for a kind of another version."""
    if name not in _KINDS:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"No kind of change is called {name!r} here.")
    return _KINDS[name]


def propose_change(
    kind_name: str, subject: str, *, title: str, content: Mapping[str, Any], secret: str = "", by: str, reason: str
) -> int:
    """Propose a change to a second person. What was proposed before for the same subject is replaced.

    Args:
        kind_name: A registered kind.
        subject: What it changes; one proposal waits for each.
        title: A sentence that says what will be done.
        content: All of it, plain data without a secret: what the second person sees and agrees to.
        secret: What nobody may see; it is kept encrypted until the change is decided.
        by: The username of an active person who may propose it.
        reason: Why.

    Returns:
        The number of the proposal.

    Raises:
        ReliabilityError: no such person, or no reason.
    """
    kind, reason = get_change_kind(kind_name), checked_reason(reason)
    with transaction.atomic():
        person = require_person(by, kind.may, kind.permission)
        older = ProposedChange.objects.select_for_update().filter(
            kind=kind.name, subject=subject, state=ChangeState.PROPOSED
        )
        for row in older:
            _close(row, ChangeState.REPLACED, person, "The same was proposed anew.")
        now = timezone.now()
        change = ProposedChange.objects.create(
            kind=kind.name,
            subject=subject[:200],
            title=title[:300],
            content=storable(dict(content)),
            sealed=seal(secret) if secret else b"",
            reason=reason,
            proposed_by=person,
            proposed_at=now,
            expires_at=now + PROPOSAL_LASTS,
        )
        after = {"change": change.pk, "content": change.content, "proposal": change.proposal}
        record_audit(person, "propose_change", _named(change), after=after, reason=reason)
    return change.pk


def confirm_change(pk: int, *, by: str, proposal: str) -> str:
    """Agree as the second person to exactly what was shown, and make the change; returns what was done.

    ``proposal`` is the digest of what the person saw. Confirming again what one has confirmed changes nothing.

    Raises:
        ReliabilityError: no such proposal, it is decided or too old, it is not the one that was seen, it is one's own,
            one of the two may not, or what makes the change refuses.
    """
    with transaction.atomic():
        person = require_person(by, "confirm changes", APPROVE_PERMISSION)
        row = _lock(pk)
        if row.state == ChangeState.CONFIRMED and row.decided_by == person:
            return row.outcome
        _require_waiting(row)
        if row.proposed_by.casefold() == person.casefold():
            raise ReliabilityError("AUTH_PERMISSION_DENIED", f"{person} proposed it: another person confirms it.")
        if not proposal or row.proposal != proposal:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "That is not what is proposed: look at it again.")
        kind = get_change_kind(row.kind)
        require_person(row.proposed_by, kind.may, kind.permission)
        secret = unseal(row.sealed) if row.sealed else ""
        agreed = AgreedChange(row.pk, row.subject, row.content, secret, row.reason, row.proposed_by, person)
        outcome = kind.make(agreed)
        _close(row, ChangeState.CONFIRMED, person, row.reason, outcome)
    return outcome


def reject_change(pk: int, *, by: str, reason: str) -> None:
    """Send a proposal back as the second person. Raises ``ReliabilityError``."""
    reason = checked_reason(reason)
    with transaction.atomic():
        person = require_person(by, "reject changes", APPROVE_PERMISSION)
        row = _lock(pk)
        _require_waiting(row)
        _close(row, ChangeState.REJECTED, person, reason)


def withdraw_change(pk: int, *, by: str) -> None:
    """Take one's own proposal back. Raises ``ReliabilityError``."""
    with transaction.atomic():
        row = _lock(pk)
        _require_waiting(row)
        if row.proposed_by.casefold() != by.casefold():
            raise ReliabilityError("AUTH_PERMISSION_DENIED", f"{row.proposed_by} proposed it: only they take it back.")
        _close(row, ChangeState.WITHDRAWN, row.proposed_by, "It was taken back.")


def expire_changes() -> None:
    """Close what nobody confirmed within the hour, and forget what it kept encrypted."""
    late = ProposedChange.objects.filter(state=ChangeState.PROPOSED, expires_at__lt=timezone.now())
    if not late.exists():
        return
    with transaction.atomic():
        for row in late.select_for_update(skip_locked=True).order_by("pk")[:500]:
            _close(row, ChangeState.EXPIRED, "stanchion", "Nobody confirmed it within the hour.")


# -- inside ---------------------------------------------------------------------------------


def _lock(pk: int) -> ProposedChange:
    row = ProposedChange.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no proposed change {pk}.")
    return row


def _require_waiting(row: ProposedChange) -> None:
    if row.state != ChangeState.PROPOSED:
        who = f" by {row.decided_by}" if row.decided_by else ""
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"It is {row.state}{who} already.")
    if row.expires_at < timezone.now():
        raise ReliabilityError("VALIDATION_WRONG_STATE", "It was proposed over an hour ago: propose it again.")


def _close(row: ProposedChange, state: ChangeState, by: str, reason: str, outcome: str = "") -> None:
    proposal = row.proposal
    row.state, row.sealed = state, b""
    row.decided_by, row.decided_at = by, timezone.now()
    row.decision_reason, row.outcome = reason[:500], outcome[:500]
    row.save(update_fields=["state", "sealed", "decided_by", "decided_at", "decision_reason", "outcome"])
    after = {"change": row.pk, "proposal": proposal, "proposed_by": row.proposed_by, "outcome": row.outcome}
    record_audit(by, f"change_{state}", _named(row), after=after, reason=reason)


def _named(row: ProposedChange) -> str:
    return f"{row.kind}:{row.subject}"
