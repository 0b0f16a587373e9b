"""Settings of a breaker as people and programs write them: either name of each, numbers as text or as numbers."""

import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from reliability.core.breaker_settings import SPEC_KEYS, BreakerSettings

_WHOLE = frozenset({"failure_threshold", "success_threshold", "volume_threshold", "quorum"})
_OPTIONAL = frozenset({"slow_call_seconds"})
_MOST_CHARACTERS = 40


def settings_from_words(before: BreakerSettings, values: Mapping[str, Any]) -> BreakerSettings:
    """Return ``before`` with ``values`` in place of its own.

    Keys are names of ``BreakerSettings``, or the documented ones (``failureThreshold``, ``timeout`` in
    milliseconds, ...). ``slow_call_seconds`` None, blank or ``none`` switches that rule off.

    Raises:
        ValueError: an unknown key, one setting under two names, no number, or out of range; says which.
    """
    changes: dict[str, float | None] = {}
    for key, value in values.items():
        name, scale = SPEC_KEYS.get(key, (key, 1))
        if name not in BreakerSettings.__dataclass_fields__:
            raise ValueError(f"there is no setting called {str(key)[:_MOST_CHARACTERS]!r}")
        if name in changes:
            raise ValueError(f"{name} is given twice")
        changes[name] = _number(key, name, value, scale)
    return replace(before, **changes)  # type: ignore[arg-type]  # checked by the dataclass itself


def _number(key: str, name: str, value: Any, scale: int) -> float | None:
    if name in _OPTIONAL and (value is None or (isinstance(value, str) and value.strip().lower() in ("", "none"))):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError(f"{key} must be a number")
    if isinstance(value, str) and len(value) > _MOST_CHARACTERS:
        raise ValueError(f"{key} must be a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{key} must be a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{key} must be a number")
    if name in _WHOLE:
        if not number.is_integer():
            raise ValueError(f"{key} must be a whole number")
        return int(number)
    return number / scale
