"""The reference page of all runbooks, made from the catalogues."""

from reliability.core.runbooks import RUNBOOKS, Runbook


def runbook_page() -> str:
    """Return the page of all runbooks, in Markdown."""
    lines = [
        "# Runbooks",
        "",
        "One per alert condition and one per error code, made from the catalogues. Follow one at `/runbooks`, from an",
        "alert, or over `POST /api/v1/runbook-executions`: the version is frozen, each step is written down before it",
        "runs, an action is shown what it would do before it does it, and a gate wants a second person. Steps are",
        "*check* (somebody looks and writes what they saw), *action*, *gate*, *wait* and *note*.",
    ]
    for runbook in RUNBOOKS.values():
        lines += ["", *_lines(runbook)]
    return "\n".join(lines) + "\n"


def _lines(runbook: Runbook) -> list[str]:
    anchor = runbook.name.replace(":", "-").replace(".", "-").replace("_", "-").lower()
    lines = [f'### <a id="{anchor}"></a>{runbook.name}', "", runbook.title, ""]
    if runbook.prefix:
        lines[-1:] = ["", f"Its actions run on `{runbook.prefix}NAME`.", ""]
    for number, step in enumerate(runbook.steps, start=1):
        action = f" `{step.action}`" if step.action else ""
        wait = f" ({step.wait_seconds} s)" if step.wait_seconds else ""
        lines.append(f"{number}. *{step.kind.value}* {step.text}{action}{wait}")
    return lines
