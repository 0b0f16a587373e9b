"""What the supervisor is told about a process. ``config/processes.py`` holds the list."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from config.stack.launch import Account

Probe = Callable[[], Awaitable[bool]]


class Kind(Enum):
    """A service is restarted when it ends; a one-shot must end with 0 and is ready by that."""

    SERVICE = "service"
    ONE_SHOT = "one_shot"


@dataclass(frozen=True, slots=True)
class LogLine:
    """Ready once a line written since the start matches this regular expression, or after a while."""

    pattern: str
    at_most_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process of the stack.

    ``env`` is its whole environment. ``after`` names the processes that must be ready before the
    first start (a restart waits for nobody) and that are stopped later. ``ready`` is a probe, a log
    line, or ``None`` for a process that counts as ready by running. ``wipe`` lists what the drill of
    that name deletes. ``{name}`` in ``argv`` stands for the name, numbered where ``count`` is above 1.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    after: tuple[str, ...] = ()
    ready: Probe | LogLine | None = None
    kind: Kind = Kind.SERVICE
    count: int = 1
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 6.0
    death_signal: signal.Signals = signal.SIGKILL
    account: Account = Account.SAME
    wipe: tuple[Path, ...] = ()
    on_done: Callable[[], None] | None = None

    def expanded(self) -> tuple["ProcessSpec", ...]:
        """Return one spec per process: ``name`` alone, or ``name-1`` ... ``name-<count>``."""
        names = [self.name] if self.count == 1 else [f"{self.name}-{number}" for number in range(1, self.count + 1)]
        return tuple(
            replace(self, name=name, count=1, argv=tuple(part.replace("{name}", name) for part in self.argv))
            for name in names
        )
