"""The reference page of alert conditions and their procedures, made from the catalogue."""

from reliability.core.conditions import CONDITIONS, Condition, FailureDomain


def alert_page() -> str:
    """Return the catalogue of alert conditions with their procedures, in Markdown."""
    lines = [
        "# Alerts",
        "",
        "One alert is open for a condition and a scope at a time; repeats are counted on it. Severity, hold-down,",
        "thresholds and whether people are told can be changed per condition in admin, Alert rules, or with",
        "`PATCH /api/v1/alert-rules/CONDITION`; this page says what holds until then. A change acts at once, in",
        "every process, and is an audit entry.",
        "*Always told* means: no other alert keeps it quiet, and no single person can silence it.",
    ]
    for domain in FailureDomain:
        lines += ["", f"## {domain.value}", ""]
        for condition in CONDITIONS.values():
            if condition.domain is domain:
                lines += _condition_lines(condition)
    return "\n".join(lines).rstrip() + "\n"


def _condition_lines(condition: Condition) -> list[str]:
    hold = condition.hold_down.total_seconds()
    marks = [condition.severity.value] + ([f"over for {hold:g} s"] if hold else [])
    marks += ["always told"] if condition.must_notify else []
    anchor = condition.runbook.partition("#")[2]
    lines = [f'### <a id="{anchor}"></a>{condition.name}', "", f"{condition.summary} ({', '.join(marks)})", ""]
    lines += [f"Over when {condition.resolves}.", ""]
    if condition.inhibited_by:
        lines += [f"Kept quiet by {', '.join(condition.inhibited_by)} about the same subject.", ""]
    if condition.thresholds:
        lines += ["| threshold | usual | from | to | meaning |", "|---|---|---|---|---|"]
        lines += [
            f"| `{one.name}` | {one.usual:g} | {one.low:g} | {one.high:g} | {one.meaning} |"
            for one in condition.thresholds
        ]
        lines += [""]
    return [*lines, *(f"{number}. {step}" for number, step in enumerate(condition.steps, start=1)), ""]
