"""What decides when a circuit breaker opens, waits and closes."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

BUCKETS = 10

SPEC_KEYS = {
    "failureThreshold": ("failure_threshold", 1),
    "successThreshold": ("success_threshold", 1),
    "timeout": ("cooldown_seconds", 1000),
    "volumeThreshold": ("volume_threshold", 1),
    "errorThresholdPercentage": ("error_threshold_percentage", 1),
    "resetTimeout": ("half_open_limit_seconds", 1000),
}


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Limits of one breaker; durations in seconds.

    It opens at ``failure_threshold`` consecutive failures, OR when at least
    ``error_threshold_percentage`` of at least ``volume_threshold`` calls in the last
    ``window_seconds`` failed, OR (``slow_call_seconds`` set) when at least
    ``slow_call_percentage`` of as many took at least that long. It stays open for
    ``cooldown_seconds``, times ``cooldown_multiplier`` for each opening without a recovery
    between, at most ``cooldown_max_seconds``. Then it is half-open: ``success_threshold``
    probes at once, each with a lease of ``probe_lease_seconds``; as many successes close it, one
    failure opens it, and ``half_open_limit_seconds`` without a success open it too.
    ``quorum``: on how many hosts calls must have failed before it opens for all; below it
    only the host that sees the failures stops calling.

    Raises:
        ValueError: a limit is outside its range; the message names it.
    """

    failure_threshold: int = 5
    success_threshold: int = 3
    cooldown_seconds: float = 30.0
    volume_threshold: int = 10
    error_threshold_percentage: float = 50.0
    half_open_limit_seconds: float = 60.0
    window_seconds: float = 10.0
    slow_call_seconds: float | None = None
    slow_call_percentage: float = 50.0
    probe_lease_seconds: float = 15.0
    quorum: int = 1
    cooldown_multiplier: float = 1.0
    cooldown_max_seconds: float = 300.0

    def __post_init__(self) -> None:
        for name in ("failure_threshold", "success_threshold", "volume_threshold", "quorum"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
                raise ValueError(f"{name} must be a whole number from 1 to 1000000")
        for name in ("error_threshold_percentage", "slow_call_percentage"):
            if not 0 < getattr(self, name) <= 100:
                raise ValueError(f"{name} must be above 0 and at most 100")
        for name in ("cooldown", "half_open_limit", "window", "probe_lease", "cooldown_max", "slow_call"):
            value = getattr(self, f"{name}_seconds")
            if value is not None and not 0.01 <= value <= 86_400:
                raise ValueError(f"{name}_seconds must be from 0.01 to 86400")
        if not 1 <= self.cooldown_multiplier <= 10:
            raise ValueError("cooldown_multiplier must be from 1 to 10")

    @classmethod
    def from_spec(cls, values: Mapping[str, Any]) -> Self:
        """Return settings from the keys of the seed, durations in milliseconds.

        ``timeout`` is the time spent open before the first probe, and ``resetTimeout`` the time
        half-open may last without a success. Libraries of the opossum family use the same words
        for other things: there, ``timeout`` limits one call.

        Raises:
            ValueError: an unknown key, or a value out of range.
        """
        if unknown := sorted(set(values) - set(SPEC_KEYS)):
            raise ValueError(f"unknown: {', '.join(unknown)}")
        found = {}
        for key, value in values.items():
            name, scale = SPEC_KEYS[key]
            found[name] = value if scale == 1 else value / scale
        return cls(**found)

    def to_spec(self) -> dict[str, float]:
        """Return the seed's six settings under the seed's keys, durations in milliseconds."""
        return {key: getattr(self, name) * scale for key, (name, scale) in SPEC_KEYS.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return settings from ``to_dict``; keys of another release are left out."""
        return cls(**{key: value for key, value in values.items() if key in cls.__dataclass_fields__})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def cooldown_ms(self) -> int:
        return round(self.cooldown_seconds * 1000)

    @property
    def cooldown_max_ms(self) -> int:
        return round(self.cooldown_max_seconds * 1000)

    @property
    def half_open_limit_ms(self) -> int:
        return round(self.half_open_limit_seconds * 1000)

    @property
    def probe_lease_ms(self) -> int:
        return round(self.probe_lease_seconds * 1000)

    @property
    def bucket_ms(self) -> int:
        return max(1, math.ceil(self.window_seconds * 1000 / BUCKETS))

    @property
    def window_ms(self) -> int:
        return self.bucket_ms * BUCKETS

    @property
    def slow_call_ms(self) -> int | None:
        return None if self.slow_call_seconds is None else round(self.slow_call_seconds * 1000)
