"""Looking at every part of the installation at once, within a second, whatever hangs."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections
from django.utils import timezone

from reliability.core.degradation import Health
from reliability.core.health import ComponentHealth, Finding, together

LIMIT_SECONDS = 0.8

Look = Callable[[], Finding]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All parts at one instant."""

    health: Health
    checked_at: datetime
    seconds: float
    components: list[ComponentHealth]


class Check:
    """One part to look at. A look that hangs is not begun a second time: later reports wait for the same one."""

    def __init__(self, name: str, look: Look, critical: bool, critical_when_silent: bool) -> None:
        self.name, self.critical, self.critical_when_silent = name, critical, critical_when_silent
        self._look = look
        self._lock = threading.Lock()
        self._turn: _Turn | None = None

    def begin(self) -> "_Turn":
        with self._lock:
            if self._turn is None or self._turn.is_over:
                self._turn = _Turn(self.name, self._look)
            return self._turn


class _Turn:
    """One look, in a thread of its own."""

    def __init__(self, name: str, look: Look) -> None:
        self._look = look
        self._done = threading.Event()
        self._finding: Finding | None = None
        self._began_at = time.monotonic()
        self._seconds = 0.0
        threading.Thread(target=self._run, name=f"health {name}", daemon=True).start()

    @property
    def is_over(self) -> bool:
        return self._done.is_set()

    def result(self, deadline: float) -> tuple[Finding | None, float]:
        """Return what was found and how long it took; None for a look that is not over in time."""
        if self._done.wait(max(0.0, deadline - time.monotonic())):
            return self._finding, self._seconds
        return None, time.monotonic() - self._began_at

    def _run(self) -> None:
        try:
            self._finding = self._look()
        except Exception as error:
            logger.warning("a part could not be looked at", extra={"error": repr(error)})
            self._finding = Finding(Health.DOWN, f"cannot be looked at: {_first_line(error)}")
        finally:
            connections.close_all()
            self._seconds = time.monotonic() - self._began_at
            self._done.set()


_checks: dict[str, Check] = {}


def register_check(name: str, look: Look, *, critical: bool = False, critical_when_silent: bool = False) -> None:
    """Have ``look`` called for every report; what it raises counts as down.

    A critical part that is found down stops everything. One that only did not answer in time does so where
    ``critical_when_silent`` says it: a busy machine answers late, and still carries orders out.
    """
    _checks[name] = Check(name, look, critical, critical_when_silent)


def check_health(names: Iterable[str] | None = None, limit_seconds: float = LIMIT_SECONDS) -> HealthReport:
    """Look at the named parts, or at all of them, side by side; returns within ``limit_seconds`` and a little."""
    began = time.monotonic()
    checks = [check for check in _checks.values() if names is None or check.name in set(names)]
    turns = [check.begin() for check in checks]
    results = [turn.result(began + limit_seconds) for turn in turns]
    components = [_component(check, *result) for check, result in zip(checks, results, strict=True)]
    return HealthReport(together(components), timezone.now(), time.monotonic() - began, components)


def _component(check: Check, finding: Finding | None, seconds: float) -> ComponentHealth:
    if finding is not None:
        return ComponentHealth(check.name, finding, check.critical, seconds)
    silent = Finding(Health.DOWN, f"no answer within {seconds:.1f} s")
    return ComponentHealth(check.name, silent, check.critical and check.critical_when_silent, seconds)


def health_facts(report: HealthReport, *, with_facts: bool = True) -> dict[str, Any]:
    """Return a report as plain data, for the API; without facts for who has not said who they are."""
    return {
        "status": report.health.value,
        "checked_at": report.checked_at,
        "seconds": round(report.seconds, 4),
        "components": [
            {
                "name": one.name,
                "status": one.health.value,
                "critical": one.critical,
                "message": one.finding.message if with_facts else "",
                "seconds": round(one.seconds, 4),
                "facts": dict(one.finding.facts) if with_facts else {},
            }
            for one in report.components
        ],
    }


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
