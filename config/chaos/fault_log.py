"""The third record: what was broken and when, by the clock that all records share and in UTC."""

import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(slots=True)
class FaultEntry:
    """One fault. ``off`` is when it was taken back, ``back`` when its victim was seen again; monotonic seconds."""

    number: int
    kind: str
    target: str
    detect: str
    options: dict[str, Any]
    lasting: bool
    on: float = 0.0
    on_at: datetime | None = None
    off: float | None = None
    off_at: datetime | None = None
    back: float | None = None
    victims: list[int] = field(default_factory=list)
    error: str = ""

    @property
    def began_at(self) -> datetime:
        assert self.on_at is not None
        return self.on_at

    @property
    def over(self) -> float:
        """When the fault no longer stood in the way: when it was taken back, or at once where it was a single blow."""
        return self.off if self.lasting and self.off is not None else self.on

    def as_dict(self) -> dict[str, Any]:
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


class FaultLog:
    """Entries in the order in which the faults began; safe to use from several threads."""

    def __init__(self) -> None:
        self.entries: list[FaultEntry] = []
        self._lock = threading.Lock()

    def begin(self, kind: str, target: str, detect: str, options: dict[str, Any], *, lasting: bool) -> FaultEntry:
        with self._lock:
            entry = FaultEntry(len(self.entries) + 1, kind, target, detect, options, lasting)
            entry.on, entry.on_at = time.monotonic(), datetime.now(UTC)
            self.entries.append(entry)
        return entry

    def end(self, entry: FaultEntry) -> None:
        entry.off, entry.off_at = time.monotonic(), datetime.now(UTC)

    @property
    def last_over(self) -> float:
        return max((entry.over for entry in self.entries), default=time.monotonic())
