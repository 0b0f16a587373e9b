"""The numbers from which on conditions hold, read with every look: a change acts at once."""

from reliability.core.conditions import get_condition
from reliability.models import AlertRule


def read_thresholds(condition: str) -> dict[str, float]:
    """Return every threshold of a condition by name: what an operator set, else what the catalogue has.

    Raises:
        UnknownConditionError: the catalogue has no such condition.
    """
    found = AlertRule.objects.filter(condition=condition).values_list("thresholds", flat=True).first() or {}
    return {one.name: one.value_from(found) for one in get_condition(condition).thresholds}
