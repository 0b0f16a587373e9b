"""Numbers from which on a condition holds: what they are usually, and within which bounds somebody may set them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Threshold:
    """One number of a condition: ``usual`` until somebody sets it, never outside ``low`` to ``high``."""

    name: str
    usual: float
    low: float
    high: float
    meaning: str

    def value_from(self, stored: Mapping[str, Any]) -> float:
        """Return the number to go by: what is stored, or the usual one where nothing sensible is."""
        value = stored.get(self.name)
        return float(value) if self.allows(value) and value is not None else self.usual

    def allows(self, value: Any) -> bool:
        """Return whether a value is a number within the bounds."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


def check_thresholds(
    thresholds: Sequence[Threshold], ordered: Sequence[tuple[str, str]], wanted: Mapping[str, Any]
) -> dict[str, float]:
    """Return what is to be stored: numbers that differ from the usual ones, all within their bounds.

    Args:
        thresholds: All of a condition.
        ordered: Pairs of names of which the first must not be above the second.
        wanted: What somebody wants, by name; None is the usual one.

    Raises:
        ValueError: a name is unknown, a value is no number or out of bounds, or two are in the wrong order; says which.
    """
    known = {one.name: one for one in thresholds}
    for name, value in wanted.items():
        if name not in known:
            names = ", ".join(known) or "none"
            raise ValueError(f"There is no threshold called {str(name)[:64]!r} here: there are {names}.")
        one = known[name]
        if value is not None and not one.allows(value):
            raise ValueError(f"{name} is a number from {one.low:g} to {one.high:g}.")
    chosen = {name: float(value) for name, value in wanted.items() if value is not None}
    for smaller, larger in ordered:
        if known[smaller].value_from(chosen) > known[larger].value_from(chosen):
            raise ValueError(f"{smaller} must not be above {larger}.")
    return {name: value for name, value in chosen.items() if value != known[name].usual}
