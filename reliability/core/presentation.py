"""How values are written for people: instants, ages, amounts, and the tone of a state."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from reliability.core.taxonomy import ErrorDefinition

_TONES = {
    "good": (
        "fresh",
        "filled",
        "up",
        "alive",
        "succeeded",
        "running",
        "leads",
        "enabled",
        "closed",
        "normal",
        "confirmed",
        "resolved",
        "done",
        "decided",
        "finished",
        "sent",
        "clean",
        "recovered",
    ),
    "busy": (
        "accepted",
        "sending",
        "working",
        "partially_filled",
        "ready",
        "connecting",
        "recovering",
        "replayed",
        "proposed",
        "planned",
        "waiting",
        "half_open",
        "queued",
        "filling",
    ),
    "warn": (
        "no_data",
        "paused",
        "silent",
        "cancel pending",
        "snoozed",
        "aborted",
        "late",
        "lost",
        "superseded",
        "failed",
        "standby",
        "degraded",
        "disabled",
        "metrics_only",
        "acknowledged",
        "mitigated",
        "medium",
        "inconclusive",
        "suspected",
        "found",
    ),
    "bad": (
        "unknown",
        "dead",
        "died",
        "down",
        "refused",
        "rejected",
        "open",
        "forced_open",
        "halted",
        "frozen",
        "differences",
        "critical",
        "high",
        "broken",
        "burning",
        "unfillable",
        "stale",
    ),
}
_BY_STATE = {state: tone for tone, states in _TONES.items() for state in states}


def instant_text(value: datetime) -> str:
    """Return an aware instant as ISO 8601 in UTC with milliseconds."""
    return value.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def age_text(age: timedelta) -> str:
    """Return a duration as a person says it: at most two units, whole numbers; never negative."""
    seconds = max(0, int(age.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def amount_text(value: Decimal) -> str:
    """Return a decimal without needless zeros, thousands set apart."""
    text = format(round(value, 12).normalize(), ",f")
    return "0" if text == "-0" else text


def state_tone(state: str) -> str:
    """Return good, busy, warn, bad or quiet for a state of anything; unheard-of states are quiet."""
    return _BY_STATE.get(state, "quiet")


def definition_facts(definition: ErrorDefinition) -> dict[str, Any]:
    """Return an entry of the error catalogue as JSON values."""
    return {
        "code": definition.code,
        "category": definition.category.value,
        "severity": definition.severity.value,
        "retryable": definition.retryable,
        "ambiguous": definition.ambiguous,
        "strategy": definition.strategy.value,
        "message": definition.message,
        "suggestion": definition.suggestion,
        "http_status": definition.http_status,
        "manual_steps": definition.manual_steps,
        "escalation": definition.escalation,
        "fallback": definition.fallback,
        "runbook": definition.runbook,
    }
