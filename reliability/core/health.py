"""Health of the parts of an installation: what one look at a part found, and what all of them mean together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reliability.core.degradation import Health


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one part found: ``message`` for a person, ``facts`` as plain values with units in their names."""

    health: Health
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One part as it was just looked at. Without a ``critical`` part nothing can be carried out."""

    name: str
    finding: Finding
    critical: bool
    seconds: float

    @property
    def health(self) -> Health:
        return self.finding.health


def together(components: Iterable[ComponentHealth]) -> Health:
    """Return the health of all: down with a critical part, degraded with any part that is not as it should be."""
    found = list(components)
    if any(one.critical and one.health is Health.DOWN for one in found):
        return Health.DOWN
    return Health.NORMAL if all(one.health is Health.NORMAL for one in found) else Health.DEGRADED


def by_limits(value: float, degraded_above: float, down_above: float) -> Health:
    """Return the health of something that should be small; both limits still belong to the better side."""
    if value > down_above:
        return Health.DOWN
    return Health.DEGRADED if value > degraded_above else Health.NORMAL


def of_alike(healths: Iterable[Health]) -> Health:
    """Return the health of several parts of which any can do the work: down only when all are."""
    found = list(healths)
    if found and all(health is Health.DOWN for health in found):
        return Health.DOWN
    return Health.NORMAL if all(health is Health.NORMAL for health in found) else Health.DEGRADED
