"""Reference pages made from the code, so that they cannot say anything else."""

from config.environment import VARIABLES
from reliability.core.catalog import CATALOG
from reliability.core.metrics import MetricKind
from reliability.core.taxonomy import ErrorCategory, ErrorDefinition
from reliability.services.metrics import list_metrics


def settings_page() -> str:
    """Return the page of all environment variables, in Markdown."""
    lines = [
        "# Settings",
        "",
        "Everything that differs between installations comes from the environment. It is read once at the start of",
        "each process; a missing or wrong value ends the process with one line that names it.",
        "",
        "| variable | default | what it is |",
        "|---|---|---|",
    ]
    for variable in VARIABLES:
        default = "must be set" if variable.default is None else f"`{variable.default}`" if variable.default else ""
        lines.append(f"| `{variable.name}` | {default} | {variable.purpose} |")
    return "\n".join(lines) + "\n"


def error_page() -> str:
    """Return the catalogue of errors, in Markdown."""
    lines = [
        "# Errors",
        "",
        "Every error of the API and every failure of a call carries one of these codes. *Ambiguous* means that an",
        "operation with an effect may have been carried out: nothing is sent again before the other side was asked.",
        "`GET /api/v1/errors/catalog`, `manage.py errors list` and `manage.py errors explain CODE` answer the same;",
        "`manage.py errors classify` tells which code a raw failure gets, without a database or any settings.",
    ]
    for category in ErrorCategory:
        lines += ["", f"## {category.value}", ""]
        for definition in CATALOG.values():
            if definition.category is category:
                lines += _error_lines(definition)
    return "\n".join(lines).rstrip() + "\n"


def _error_lines(definition: ErrorDefinition) -> list[str]:
    marks = [definition.severity.value, f"strategy {definition.strategy.value}", f"HTTP {definition.http_status}"]
    marks += ["retryable"] if definition.retryable else []
    marks += ["ambiguous"] if definition.ambiguous else []
    anchor = definition.runbook.partition("#")[2]
    lines = [f'### <a id="{anchor}"></a>{definition.code}', ""]
    lines += [f"{definition.message} ({', '.join(marks)})", "", definition.suggestion]
    for name, text in (
        ("By hand", definition.manual_steps),
        ("Escalation", definition.escalation),
        ("Instead", definition.fallback),
    ):
        lines += ["", f"{name}: {text}"] if text else []
    return [*lines, ""]


def metrics_page() -> str:
    """Return the page of all metrics, in Markdown."""
    lines = [
        "# Metrics",
        "",
        "`GET /metrics` answers them in Prometheus' text format, to a token of a user with the permission",
        "`reliability.view_metrictotal`, which the role *viewer* has. Counters and histograms are counted by",
        "every process and kept in PostgreSQL, so that they outlive the process: a `kill -9` loses at most a",
        "second's counts. Gauges are read at the scrape. A source that cannot be read is left out, and",
        "`stanchion_metric_source_up` says so.",
        "",
        "| metric | kind | labels | what it is |",
        "|---|---|---|---|",
    ]
    for metric in list_metrics():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.meaning} |")
    bounds = sorted({metric.bounds for metric in list_metrics() if metric.kind is MetricKind.HISTOGRAM})
    lines += ["", *(f"Upper bounds of the buckets, in seconds: {', '.join(map(str, one))}." for one in bounds)]
    return "\n".join(lines) + "\n"
