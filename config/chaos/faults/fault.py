"""What every fault can do: say whether it can be had here, begin, and heal."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from config.chaos.stack import Broker, Stack

BROKER_OF: dict[str, Broker] = {"sim-a": "a", "sim-b": "b", "a": "a", "b": "b"}


@dataclass
class Fault:
    """One fault on one stack. Subclasses say how it begins and how it heals; healing twice does no harm."""

    kind: ClassVar[str] = ""
    is_span: ClassVar[bool] = False
    """``begin`` returns when the fault is over: what takes its time by design, and heals by being finished."""
    needs: ClassVar[str] = ""
    """What it asks of the machine beyond the stack; shown in the reference."""

    stack: Stack
    target: str
    options: Mapping[str, Any]
    chance: random.Random
    victims: list[int] = field(default_factory=list)
    mark: Callable[[], object] = lambda: None
    """Called by a fault that first waits for its moment, right when it strikes."""

    def missing(self) -> str:
        """Return why it cannot be had on this machine, or nothing."""
        return ""

    def begin(self) -> None:
        raise NotImplementedError

    def heal(self) -> None:
        """Take the fault back. A single blow has nothing to take back."""

    def is_back(self) -> bool:
        """Tell whether the victim is there again."""
        return True


class CannotHealError(Exception):
    """A fault stayed in force: nothing that runs on this stack afterwards may be believed."""
