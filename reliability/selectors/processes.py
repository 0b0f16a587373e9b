"""Reading which processes live."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from reliability.conf import get_conf
from reliability.models import Heartbeat

_SHOWN_AFTER_END = timedelta(minutes=5)
_STATE_ORDER = {"silent": 0, "alive": 1, "died": 2, "stopped": 3}


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process: ``state`` is alive, silent (no heartbeat for a second), died or stopped."""

    pulse: int
    kind: str
    name: str
    host: str
    pid: int
    state: str
    detail: dict[str, Any]
    started_at: datetime
    beat_at: datetime
    ended_at: datetime | None


def list_processes() -> list[ProcessStatus]:
    """Return the processes that live or ended in the last five minutes, silent ones first."""
    now = timezone.now()
    limit = get_conf().silence_limit
    rows = Heartbeat.objects.exclude(ended_at__lt=now - _SHOWN_AFTER_END)
    statuses = [
        ProcessStatus(
            pulse=row.pulse,
            kind=row.kind,
            name=row.name,
            host=row.host,
            pid=row.pid,
            state=row.end_reason if row.ended_at else ("silent" if now - row.beat_at > limit else "alive"),
            detail=row.detail,
            started_at=row.started_at,
            beat_at=row.beat_at,
            ended_at=row.ended_at,
        )
        for row in rows
    ]
    return sorted(statuses, key=lambda status: (_STATE_ORDER.get(status.state, 9), status.kind, status.pulse))


def is_silent_since(pulse: int, at_least: timedelta) -> bool:
    """Return whether a process that did not end has given no heartbeat for so long."""
    rows = Heartbeat.objects.filter(pulse=pulse, ended_at=None, beat_at__lt=timezone.now() - at_least)
    return rows.exists()
