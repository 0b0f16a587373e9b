"""How pages write the two sides of a difference in a line."""

from typing import Any

from django import template

from reconciliation.models import Discrepancy
from reconciliation.selectors.runs import differing_part

register = template.Library()


@register.filter
def recorded_part(row: Discrepancy) -> str:
    """Return what is recorded and not reported alike."""
    return differing_part(row.recorded, row.reported)


@register.filter
def reported_part(row: Discrepancy) -> Any:
    return differing_part(row.reported, row.recorded)
