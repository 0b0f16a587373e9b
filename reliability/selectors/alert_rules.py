"""Reading what is set for each condition, beside what the catalogue has."""

from typing import Any

from reliability.core.conditions import CONDITIONS
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import AlertRule


def list_rules() -> list[AlertRule]:
    """Return the rule of each condition of the catalogue, by name; one that nobody touched may have no row yet."""
    rows = {row.condition: row for row in AlertRule.objects.all()}
    return [rows.get(name) or AlertRule(condition=name) for name in sorted(CONDITIONS)]


def find_rule(condition: str) -> AlertRule | None:
    """Return the rule of a condition; None if the catalogue has no such condition."""
    return next((row for row in list_rules() if row.condition == condition), None)


def threshold_text(row: AlertRule) -> str:
    """Return the numbers that hold now, in words; those that somebody set are marked."""
    condition = CONDITIONS.get(row.condition)
    parts = []
    for one in condition.thresholds if condition else ():
        value = one.value_from(row.thresholds)
        parts.append(f"{one.name} {value:g}" + (f" (usually {one.usual:g})" if value != one.usual else ""))
    return ", ".join(parts)


def rule_facts(row: AlertRule) -> dict[str, Any]:
    """Return a rule as plain data: what is set, what is usual, and each threshold with its bounds."""
    condition = CONDITIONS[row.condition]
    return {
        "condition": row.condition,
        "summary": condition.summary,
        "resolves": condition.resolves,
        "severity": ErrorSeverity.of_rank(row.severity).value if row.severity else None,
        "usual_severity": condition.severity.value,
        "hold_down_seconds": row.hold_down_seconds,
        "usual_hold_down_seconds": condition.hold_down.total_seconds(),
        "is_told": row.is_told,
        "thresholds": [
            {
                "name": one.name,
                "value": one.value_from(row.thresholds),
                "usual": one.usual,
                "low": one.low,
                "high": one.high,
                "meaning": one.meaning,
            }
            for one in condition.thresholds
        ],
        "no_data": row.no_data_since is not None,
        "no_data_since": row.no_data_since,
        "no_data_reason": row.no_data_reason,
        "changed_by": row.changed_by,
        "changed_at": row.changed_at,
    }
