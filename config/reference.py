"""Reference pages made from the code, so that they cannot say anything else."""

from config.environment import VARIABLES
from reliability.core.catalog import CATALOG
from reliability.core.taxonomy import ErrorCategory, ErrorDefinition


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
