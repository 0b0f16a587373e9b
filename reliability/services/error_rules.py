"""Rules that people make of guesses; every process takes them up within seconds."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Count, Sum
from django.utils import timezone

from reliability.core.catalog import CATALOG
from reliability.core.classification import Operation, Proof
from reliability.core.errors import ReliabilityError
from reliability.core.guesses import GuessState, claims_no_effect, words_pattern
from reliability.core.rules import Rule, Verdict
from reliability.core.text import storable
from reliability.models import ErrorGuess, ErrorRule
from reliability.services.audit import record_audit
from reliability.services.classification import set_confirmed_rules

WARNING = (
    "This rule says that such a failure proves that nothing happened. If that is wrong, an order is sent twice: "
    "this can double an order."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """A rule as a person wants it. No ``operations``: all of them. ``message``: words, ``*`` between them."""

    source: str
    code: str
    proof: Proof
    operations: tuple[Operation, ...] = ()
    raw_code: str = ""
    message: str = ""

    @property
    def can_double_an_order(self) -> bool:
        return claims_no_effect(self.proof, self.operations)


def confirm_guess(
    guess_id: int,
    *,
    actor: str,
    reason: str,
    code: str = "",
    proof: Proof | None = None,
    accepts_doubling: bool = False,
) -> ErrorRule:
    """Make a rule of a guess, with another ``code`` or ``proof`` than the guessed ones where they are given.

    Raises:
        ReliabilityError: no such guess, decided already, no reason, an unknown code, or the rule could
            double an order and that was not accepted; nothing was changed.
    """
    _require_reason(reason)
    with transaction.atomic():
        guess = _new_guess(guess_id)
        draft = RuleDraft(
            source=guess.source,
            code=code or guess.code,
            proof=Proof(guess.proof) if proof is None else proof,
            operations=(Operation(guess.operation),),
            raw_code=guess.raw_code,
            message=guess.message,
        )
        rule = _save_rule(None, draft, actor=actor, reason=reason, accepts_doubling=accepts_doubling)
        _decide(guess, GuessState.CONFIRMED, actor, reason, rule)
    return rule


def reject_guess(guess_id: int, *, actor: str, reason: str) -> None:
    """Say that a guess is no rule; it stays on record and is counted on.

    Raises:
        ReliabilityError: no such guess, decided already, or no reason; nothing was changed.
    """
    _require_reason(reason)
    with transaction.atomic():
        _decide(_new_guess(guess_id), GuessState.REJECTED, actor, reason, None)


def add_rule(draft: RuleDraft, *, actor: str, reason: str, accepts_doubling: bool = False) -> ErrorRule:
    """Add a rule; raises ``ReliabilityError`` as ``confirm_guess`` does, or when there is one for the same."""
    _require_reason(reason)
    with transaction.atomic():
        return _save_rule(None, draft, actor=actor, reason=reason, accepts_doubling=accepts_doubling)


def change_rule(
    rule_id: int, draft: RuleDraft, *, actor: str, reason: str, accepts_doubling: bool = False
) -> ErrorRule:
    """Change what a rule says; raises ``ReliabilityError`` as ``add_rule`` does."""
    _require_reason(reason)
    with transaction.atomic():
        return _save_rule(_locked(rule_id), draft, actor=actor, reason=reason, accepts_doubling=accepts_doubling)


def switch_rule(rule_id: int, *, active: bool, actor: str, reason: str, accepts_doubling: bool = False) -> None:
    """Take a rule out of use, or into use again.

    Raises:
        ReliabilityError: no such rule, no reason, it is so already, or it could double an order.
    """
    _require_reason(reason)
    with transaction.atomic():
        rule = _locked(rule_id)
        if rule.is_active is active:
            raise ReliabilityError("VALIDATION_WRONG_STATE", f"The rule is {'in' if active else 'out of'} use already.")
        if active:
            _require_acceptance(draft_of(rule), accepts_doubling)
        rule.is_active, rule.version, rule.changed_at = active, rule.version + 1, timezone.now()
        rule.save()
        action = "enable_error_rule" if active else "disable_error_rule"
        record_audit(actor, action, f"error_rule:{rule.pk}", after=rule_facts(rule), reason=reason)


def draft_of(rule: ErrorRule) -> RuleDraft:
    """Return what a rule says."""
    operations = tuple(Operation(name) for name in rule.operations)
    return RuleDraft(rule.source, rule.code, Proof(rule.proof), operations, rule.raw_code, rule.message)


def to_rule(row: ErrorRule) -> Rule:
    """Return a row as the classifier uses it; raises ``ValueError`` if it does not fit this release."""
    draft = draft_of(row)
    if draft.code not in CATALOG:
        raise ValueError(f"{draft.code} is not in the catalogue")
    return Rule(
        source=draft.source,
        verdict=Verdict(draft.code, draft.proof),
        raw_codes=(draft.raw_code,) if draft.raw_code else (),
        message=words_pattern(draft.message) if draft.message.strip("* ") else None,
        operations=draft.operations,
        origin=f"decided by {row.author}: {row.reason}",
    )


def rule_facts(rule: ErrorRule) -> dict[str, object]:
    """Return a rule as plain data."""
    return {
        "id": rule.pk,
        "source": rule.source,
        "operations": rule.operations,
        "raw_code": rule.raw_code,
        "message": rule.message,
        "code": rule.code,
        "proof": rule.proof,
        "is_active": rule.is_active,
        "can_double_an_order": draft_of(rule).can_double_an_order,
        "author": rule.author,
        "reason": rule.reason,
        "version": rule.version,
    }


class RuleFollower:
    """Keeps this process on the rules that are recorded; one small query tells whether they changed."""

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None

    def refresh(self) -> None:
        """Take up the rules if they changed since the last time; raises ``DatabaseError``."""
        found = ErrorRule.objects.aggregate(rows=Count("pk"), changes=Sum("version", default=0))
        state = (found["rows"], found["changes"])
        if state != self._seen:
            set_confirmed_rules(_usable(ErrorRule.objects.filter(is_active=True).order_by("-id")))
            self._seen = state


def _usable(rows: Iterable[ErrorRule]) -> list[Rule]:
    """Return the rows as rules, newest first; one that no longer fits is left out and logged."""
    rules = []
    for row in rows:
        try:
            rules.append(to_rule(row))
        except ValueError as error:
            logger.error("an error rule cannot be used", extra={"rule": row.pk, "error": str(error)})
    return rules


def _save_rule(
    row: ErrorRule | None, draft: RuleDraft, *, actor: str, reason: str, accepts_doubling: bool
) -> ErrorRule:
    _require_valid(draft)
    _require_acceptance(draft, accepts_doubling)
    before = rule_facts(row) if row else None
    rule = row or ErrorRule(version=0)
    rule.source, rule.code, rule.proof = draft.source.strip(), draft.code, draft.proof.value
    rule.operations = sorted(operation.value for operation in set(draft.operations))
    rule.raw_code, rule.message = draft.raw_code.strip(), draft.message.strip()
    rule.author, rule.reason = actor, reason.strip()[:1000]
    rule.version, rule.changed_at = rule.version + 1, timezone.now()
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError:
        raise ReliabilityError(
            "VALIDATION_WRONG_STATE", "There is a rule for exactly these failures: change that one."
        ) from None
    facts = {**rule_facts(rule), "accepts_doubling": draft.can_double_an_order}
    action = "change_error_rule" if before else "add_error_rule"
    record_audit(actor, action, f"error_rule:{rule.pk}", before=before, after=facts, reason=reason)
    return rule


def _require_valid(draft: RuleDraft) -> None:
    for text, most, name in (
        (draft.source, 64, "source"),
        (draft.raw_code, 200, "code"),
        (draft.message, 300, "words"),
    ):
        if len(text) > most or storable(text) != text:
            raise _invalid(f"The {name} of a rule has at most {most} characters of text.")
    if not draft.source.strip():
        raise _invalid("A rule names its source.")
    if draft.code not in CATALOG:
        raise _invalid(f"{draft.code[:64]!r} is not in the catalogue of errors.")
    if not draft.raw_code.strip() and not draft.message.strip("* \t\n"):
        raise _invalid("A rule names a code or words of the message: without them it would decide everything.")


def _require_acceptance(draft: RuleDraft, accepts_doubling: bool) -> None:
    if draft.can_double_an_order and not accepts_doubling:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", WARNING, {"accepts_doubling": ["must be true"]})


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise _invalid("Give a reason: it is kept with the decision.")


def _invalid(message: str) -> ReliabilityError:
    return ReliabilityError("VALIDATION_INVALID_REQUEST", message)


def _locked(rule_id: int) -> ErrorRule:
    rule = ErrorRule.objects.select_for_update().filter(pk=rule_id).first()
    if rule is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no error rule {rule_id}.")
    return rule


def _new_guess(guess_id: int) -> ErrorGuess:
    guess = ErrorGuess.objects.select_for_update().filter(pk=guess_id).first()
    if guess is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no guess {guess_id}.")
    if guess.state == GuessState.CONFIRMED:
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"The guess was confirmed by {guess.decided_by}.")
    return guess


def _decide(guess: ErrorGuess, state: GuessState, actor: str, reason: str, rule: ErrorRule | None) -> None:
    if guess.state == state:
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"The guess was {state.value} by {guess.decided_by}.")
    before = {"state": guess.state}
    guess.state, guess.rule = state.value, rule
    guess.decided_by, guess.decided_at, guess.decided_reason = actor, timezone.now(), reason.strip()[:1000]
    guess.save(update_fields=["state", "rule", "decided_by", "decided_at", "decided_reason"])
    after = {"state": state.value, "rule": rule.pk if rule else None}
    action = "confirm_guess" if state is GuessState.CONFIRMED else "reject_guess"
    record_audit(actor, action, f"error_guess:{guess.pk}", before=before, after=after, reason=reason)


def parse_operations(names: Collection[str]) -> tuple[Operation, ...]:
    """Return operations by name; raises ``ReliabilityError`` for one that is none."""
    try:
        return tuple(Operation(name) for name in names)
    except ValueError as error:
        raise _invalid(f"{error}.") from None


follower = RuleFollower()
