"""What may happen to bytes on their way: the faults of a link, as they are asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ToxicKind(StrEnum):
    """``SILENCE`` holds bytes back until it ends, as a partition does; ``DOWN`` refuses connections."""

    LATENCY = "latency"
    BANDWIDTH = "bandwidth"
    SLOW_CLOSE = "slow_close"
    SILENCE = "silence"
    RESET = "reset"
    SLICE = "slice"
    CUT = "cut"
    DOWN = "down"


class Direction(StrEnum):
    """``UPSTREAM`` is what the client says, ``DOWNSTREAM`` what the server answers."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
    BOTH = "both"


PARAMETERS: dict[ToxicKind, dict[str, float | None]] = {
    ToxicKind.LATENCY: {"ms": None, "jitter_ms": 0.0},
    ToxicKind.BANDWIDTH: {"bytes_per_second": None},
    ToxicKind.SLOW_CLOSE: {"ms": None},
    ToxicKind.SILENCE: {},
    ToxicKind.RESET: {},
    ToxicKind.SLICE: {"bytes": 1.0, "ms": 0.0},
    ToxicKind.CUT: {"after_bytes": None},
    ToxicKind.DOWN: {},
}
"""The parameters of each kind with their defaults; None: it must be given."""


class ToxicRequestError(Exception):
    """A fault cannot be switched on as asked; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Toxic:
    """One fault of one link. ``probability`` is drawn once per connection."""

    id: int
    link: str
    kind: ToxicKind
    direction: Direction = Direction.BOTH
    probability: float = 1.0
    parameters: Mapping[str, float] = field(default_factory=dict)

    def concerns(self, direction: Direction) -> bool:
        return self.direction in (Direction.BOTH, direction)

    def summary(self) -> dict[str, Any]:
        shown = {"id": self.id, "link": self.link, "kind": self.kind, "direction": self.direction}
        return {**shown, "probability": self.probability, **self.parameters}

    def delay_seconds(self, draw: Callable[[], float]) -> float:
        """Return the wait of one chunk under ``LATENCY``: ``ms``, more or less a share of ``jitter_ms``."""
        jitter = self.parameters["jitter_ms"] * (2 * draw() - 1)
        return max(0.0, self.parameters["ms"] + jitter) / 1000


def parse_toxic(number: int, fields: Any, links: Mapping[str, object]) -> Toxic:
    """Return the fault that a JSON object describes.

    Raises:
        ToxicRequestError: The description is wrong in some way.
    """
    if not isinstance(fields, Mapping):
        raise ToxicRequestError("a toxic is a JSON object")
    if fields.get("link") not in links:
        raise ToxicRequestError(f"link must be one of: {', '.join(links)}")
    try:
        kind = ToxicKind(str(fields.get("kind")))
        direction = Direction(str(fields.get("direction", Direction.BOTH)))
    except ValueError as error:
        raise ToxicRequestError(
            f"{error}; kinds: {', '.join(ToxicKind)}; directions: {', '.join(Direction)}"
        ) from error
    probability = _number(fields.get("probability", 1.0), "probability")
    if probability > 1:
        raise ToxicRequestError("probability must be from 0 to 1")
    given = {name: value for name, value in fields.items() if name not in ("link", "kind", "direction", "probability")}
    for name in given:
        if name not in PARAMETERS[kind]:
            raise ToxicRequestError(f"{kind} has no parameter {name}")
    parameters = {name: given.get(name, default) for name, default in PARAMETERS[kind].items()}
    checked = {name: _number(value, f"{kind}: {name}") for name, value in parameters.items()}
    return Toxic(number, str(fields["link"]), kind, direction, probability, checked)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ToxicRequestError(f"{name} must be a number of at least 0")
    return float(value)
