"""Who may run a step: following runbooks gives no right that a person lacks elsewhere."""

from typing import Any

from reliability.core.errors import ReliabilityError
from reliability.core.runbooks import StepKind
from reliability.models import RunbookExecution
from reliability.services.runbook_actions import get_action
from reliability.services.runbooks import current_step

APPROVE = "reliability.approve_intervention"


def missing_right(user: Any, execution: RunbookExecution) -> str:
    """Return the permission that the next step needs and this person lacks, or an empty string."""
    step = current_step(execution)
    if step is None or step.kind not in (StepKind.ACTION, StepKind.GATE):
        return ""
    needed = get_action(step.action).permission if step.kind is StepKind.ACTION else APPROVE
    return "" if user.has_perm(needed) else needed


def require_step_right(user: Any, execution: RunbookExecution) -> None:
    """Raise ``ReliabilityError`` when the next step needs a permission that this person lacks."""
    needed = missing_right(user, execution)
    if needed:
        raise ReliabilityError("AUTH_PERMISSION_DENIED", f"This step needs the permission {needed}.")
