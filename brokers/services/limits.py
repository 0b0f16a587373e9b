"""How much a broker is asked at once and per minute: one person lowers a limit, two raise it."""

from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from brokers.models import Broker
from brokers.services.accounts import forget_accounts
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit
from reliability.services.changes import AgreedChange, ChangeKind, propose_change
from reliability.services.persons import checked_reason, require_person

LIMITS_KIND = "brokers.limits"
LIMITS_PERMISSION = "brokers.change_broker"
_LARGEST = 1_000_000
_MAY = "change limits of brokers"


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """``calls_per_minute`` of an account over all processes; calls at once of a process, and of all of them together.

    None: no limit.
    """

    calls_per_minute: int | None
    max_concurrent_calls: int
    max_calls_overall: int | None = None


def change_limits(broker: str, limits: BrokerLimits, *, by: str, reason: str) -> int | None:
    """Set limits that lower or keep each of them at once; propose those that raise one to a second person.

    Returns:
        The number of the proposal, or None if the limits are in force.

    Raises:
        ReliabilityError: no such broker, a limit out of range, no change at all, no such person, or no reason.
    """
    reason = checked_reason(reason)
    _check(limits)
    with transaction.atomic():
        row = _lock(broker)
        before = _limits(row)
        if before == limits:
            raise ReliabilityError("VALIDATION_WRONG_STATE", f"{broker} has these limits already.")
        if not _raises(before, limits):
            person = require_person(by, _MAY, LIMITS_PERMISSION)
            _set(row, before, limits, person, reason)
            return None
        title = f"Raise limits of {broker}: {_words(before)} becomes {_words(limits)}"
        content = {"broker": broker, "before": asdict(before), "after": asdict(limits)}
        return propose_change(LIMITS_KIND, f"broker:{broker}", title=title, content=content, by=by, reason=reason)


def get_limits(broker: str) -> BrokerLimits:
    """Return the limits in force; raises ``ReliabilityError`` when there is no such broker."""
    row = Broker.objects.filter(pk=broker).first()
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no broker called {broker!r}.")
    return _limits(row)


def limits_kind() -> ChangeKind:
    return ChangeKind(LIMITS_KIND, LIMITS_PERMISSION, _MAY, _make)


def _make(agreed: AgreedChange) -> str:
    row = _lock(agreed.content["broker"])
    before, limits = BrokerLimits(**agreed.content["before"]), BrokerLimits(**agreed.content["after"])
    if _limits(row) != before:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "The limits were changed meanwhile: propose it again.")
    _check(limits)
    _set(row, before, limits, agreed.actor, agreed.reason)
    return f"{row} has {_words(limits)}."


def _set(row: Broker, before: BrokerLimits, limits: BrokerLimits, actor: str, reason: str) -> None:
    values = asdict(limits)
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=list(values))
    record_audit(actor, "change_limits", f"broker:{row}", before=asdict(before), after=asdict(limits), reason=reason)
    transaction.on_commit(forget_accounts)


def _raises(before: BrokerLimits, after: BrokerLimits) -> bool:
    if after.max_concurrent_calls > before.max_concurrent_calls:
        return True
    return _is_raised(before.calls_per_minute, after.calls_per_minute) or _is_raised(
        before.max_calls_overall, after.max_calls_overall
    )


def _is_raised(before: int | None, after: int | None) -> bool:
    return before is not None and (after is None or after > before)


def _check(limits: BrokerLimits) -> None:
    for name, value in asdict(limits).items():
        if value is not None and not 1 <= value <= _LARGEST:
            text = f"A limit is a whole number from 1 to {_LARGEST}."
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", text, {name: [text]})


def _limits(row: Broker) -> BrokerLimits:
    return BrokerLimits(row.calls_per_minute, row.max_concurrent_calls, row.max_calls_overall)


def _lock(broker: str) -> Broker:
    row = Broker.objects.select_for_update(no_key=True).filter(pk=broker).first()
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no broker called {broker!r}.")
    return row


def _words(limits: BrokerLimits) -> str:
    rate: Any = "no limit of" if limits.calls_per_minute is None else limits.calls_per_minute
    overall = "" if limits.max_calls_overall is None else f", {limits.max_calls_overall} in all processes together"
    return f"{rate} calls a minute and {limits.max_concurrent_calls} at once{overall}"
