"""What people change about circuits: settings, pins, resets. The row first, then every process within a second."""

import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from reliability.core.breaker import BreakerSettings, PinnedState
from reliability.core.breaker_words import settings_from_words
from reliability.core.errors import ReliabilityError
from reliability.models import Circuit, CircuitTransition
from reliability.services import circuits
from reliability.services.audit import record_audit
from reliability.services.circuit_records import is_storable_name, push_circuit
from reliability.services.circuits import StoreUnavailableError

DEFAULT_PIN_MINUTES = 60
MOST_PIN_MINUTES = 24 * 60
LONGEST_REASON = 500


def change_settings(name: str, values: Mapping[str, Any], *, actor: str, reason: str = "") -> BreakerSettings:
    """Change some settings of a circuit, named as in ``BreakerSettings`` or by the documented keys.

    Raises:
        ReliabilityError: no such circuit or setting, or a value out of range; nothing was changed.
    """
    with transaction.atomic():
        row = _locked(name)
        before = row.to_settings()
        after = _changed_settings(before, values)
        if after == before:
            return before
        row.take_settings(after)
        row.settings_version += 1
        row.save()
        old, new = before.to_dict(), after.to_dict()
        changed = [key for key in new if new[key] != old[key]]
        record_audit(
            actor,
            "set_circuit",
            f"circuit:{name}",
            before={key: old[key] for key in changed},
            after={**{key: new[key] for key in changed}, "version": row.settings_version},
            reason=reason,
        )
        transaction.on_commit(partial(push_circuit, name))
    return after


def _changed_settings(before: BreakerSettings, values: Mapping[str, Any]) -> BreakerSettings:
    try:
        return settings_from_words(before, values)
    except ValueError as error:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"{error}.") from None


def pin_circuit(name: str, state: PinnedState, *, minutes: float, actor: str, reason: str) -> None:
    """Pin a circuit in every process for ``minutes``, above 0 and at most a day.

    Raises:
        ReliabilityError: no such circuit, no reason, or another length; nothing was changed.
    """
    if not 0 < minutes <= MOST_PIN_MINUTES:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"A pin lasts up to {MOST_PIN_MINUTES} minutes.")
    _require_reason(reason)
    with transaction.atomic():
        row = _locked(name)
        before = row.pin_facts()
        row.pinned_state, row.pinned_by, row.pin_reason = state.value, actor, reason.strip()[:LONGEST_REASON]
        row.pin_expires_at = timezone.now() + timedelta(minutes=minutes)
        _save_pin(row)
        record_audit(actor, "pin_circuit", f"circuit:{name}", before=before, after=row.pin_facts(), reason=reason)
        transaction.on_commit(partial(push_circuit, name))


def unpin_circuit(name: str, *, actor: str, reason: str) -> None:
    """Remove the pin of a circuit.

    Raises:
        ReliabilityError: no such circuit, no reason, or it is not pinned; nothing was changed.
    """
    _require_reason(reason)
    with transaction.atomic():
        row = _locked(name)
        if not row.is_pinned(timezone.now()):
            raise ReliabilityError("VALIDATION_WRONG_STATE", f"The circuit {name!r} is not pinned.")
        before = row.pin_facts()
        row.pinned_state = row.pinned_by = row.pin_reason = ""
        row.pin_expires_at = None
        _save_pin(row)
        record_audit(actor, "unpin_circuit", f"circuit:{name}", before=before, after=row.pin_facts(), reason=reason)
        transaction.on_commit(partial(push_circuit, name, actor, reason))


def reset_circuit(name: str, *, actor: str, reason: str) -> None:
    """Close a circuit and forget what it has counted; a pin stays.

    Raises:
        ReliabilityError: no such circuit, no reason, or the shared store is away; nothing was changed.
    """
    _require_reason(reason)
    with transaction.atomic():
        _locked(name)
        record_audit(actor, "reset_circuit", f"circuit:{name}", reason=reason)
        try:
            circuits.reset(name, actor, reason)
        except StoreUnavailableError as error:
            raise ReliabilityError(
                "SYSTEM_REDIS_UNAVAILABLE",
                "The shared state of circuits cannot be reached, so nothing was reset.",
                retry_after_seconds=5,
            ) from error


def require_circuit(name: str) -> Circuit:
    """Return the row of a circuit, made now if it has been seen without one; raises ``ReliabilityError``."""
    row = Circuit.objects.filter(name=name).first() if is_storable_name(name) else None
    return row or _seen_circuit(name)


def _seen_circuit(name: str) -> Circuit:
    status = next((one for one in circuits.list_statuses() if one.name == name), None)
    if not is_storable_name(name) or (status is None and not _has_transitions(name)):
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no circuit called {name!r}.")
    row = Circuit(name=name)
    if status is not None:
        row.take_settings(status.settings)
        row.settings_version = max(1, status.settings_version)
    Circuit.objects.bulk_create([row], ignore_conflicts=True)
    return Circuit.objects.get(name=name)


def _has_transitions(name: str) -> bool:
    return CircuitTransition.objects.filter(circuit=name).exists()


def _locked(name: str) -> Circuit:
    require_circuit(name)
    return Circuit.objects.select_for_update().get(name=name)


def _save_pin(row: Circuit) -> None:
    """The version is an instant, so that it is newer than all others even after a backup was restored."""
    row.pin_version = max(row.pin_version + 1, time.time_ns() // 1_000_000)
    row.save()


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the change.")
