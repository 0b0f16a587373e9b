"""The durable side of circuits: rows tell processes what to use, and are brought to the shared store."""

import logging
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from reliability.core.breaker import PinnedState
from reliability.core.text import storable
from reliability.models import Circuit
from reliability.models.circuits import SETTING_NAMES
from reliability.services import circuits
from reliability.services.circuits import CircuitStatus, CircuitTruth, Pin, StoreUnavailableError
from reliability.services.circuits.registry import get_runtime

INTERVAL_SECONDS = 1.0
LONGEST_NAME = 200
SLACK = timedelta(seconds=5)  # two clocks may differ by this much

logger = logging.getLogger(__name__)


def truth_of(row: Circuit, now: datetime) -> CircuitTruth:
    """Return what a row says at ``now``: a pin whose time is over is none."""
    pin = None
    if row.is_pinned(now):
        pin = Pin(PinnedState(row.pinned_state), row.pinned_by, row.pin_reason, row.pin_expires_at)
    return CircuitTruth(row.to_settings(), row.settings_version, pin, row.pin_version)


def load_truth(name: str) -> CircuitTruth | None:
    """Return what the row of a circuit says, None without one: what processes use when the store has nothing."""
    row = Circuit.objects.filter(name=name).first() if is_storable_name(name) else None
    return truth_of(row, timezone.now()) if row else None


def is_storable_name(name: str) -> bool:
    """Tell whether a circuit of this name can have a row."""
    return 0 < len(name) <= LONGEST_NAME and storable(name) == name


def push_circuit(name: str, author: str = "", reason: str = "") -> bool:
    """Bring one circuit's settings and pin to every process; returns whether the shared store has them now.

    ``author`` and ``reason`` are of the removal of a pin; a pin has its own.
    """
    row = Circuit.objects.get(name=name)
    try:
        _push(row, timezone.now(), author, reason)
    except StoreUnavailableError as error:
        logger.warning("a circuit's settings wait for the store", extra={"circuit": name, "error": str(error)})
        return False
    return True


def push_circuits() -> int:
    """Make the shared store say what the rows say, and rows for circuits that are new; returns how many differed.

    Nothing happens while the store is away. Raises ``DatabaseError``.
    """
    statuses = {status.name: status for status in circuits.list_statuses() if status.is_shared}
    if not statuses and not circuits.is_store_reachable():
        return 0
    _add_rows(statuses.values())
    now, pushed = timezone.now(), 0
    for row in Circuit.objects.all():
        try:
            pushed += _correct(row, statuses.get(row.name), now)
        except StoreUnavailableError:
            return pushed
    return pushed


def _add_rows(statuses: Iterable[CircuitStatus]) -> None:
    known = set(Circuit.objects.values_list("name", flat=True))
    fresh = []
    for status in statuses:
        if status.name not in known and is_storable_name(status.name):
            row = Circuit(name=status.name, settings_version=max(1, status.settings_version))
            row.take_settings(status.settings)
            fresh.append(row)
    Circuit.objects.bulk_create(fresh, ignore_conflicts=True)


def _correct(row: Circuit, status: CircuitStatus | None, now: datetime) -> int:
    """Bring one row to the store if it says something else there; returns 1 if it did."""
    if status is None:
        if not row.is_pinned(now):
            return 0  # nobody calls it; whoever does will load it
    elif status.settings_version >= row.settings_version and status.settings != row.to_settings():
        return _settle_difference(row, status, now)
    elif status.settings_version >= row.settings_version and _has_pin_of(status, row, now):
        return 0
    _push(row, now)
    return 1


def _settle_difference(row: Circuit, status: CircuitStatus, now: datetime) -> int:
    """A row nobody has edited takes what a program configured; else the row is older, as after a restore, and wins."""
    untouched = row.settings_version == 1
    version = max(1, status.settings_version) if untouched else status.settings_version + 1
    if untouched:
        row.take_settings(status.settings)
    changed = Circuit.objects.filter(name=row.name, settings_version=row.settings_version)
    changed.update(settings_version=version, **{name: getattr(row, name) for name in SETTING_NAMES})
    row.settings_version = version
    if not untouched:
        _push(row, now)
    return 1


def _has_pin_of(status: CircuitStatus, row: Circuit, now: datetime) -> bool:
    if not row.is_pinned(now):
        return status.pin is None or (row.pin_expires_at is not None and row.pin_expires_at > now - SLACK)
    found = status.pin
    if found is None or found.expires_at is None or row.pin_expires_at is None:
        return False
    same = (found.state.value, found.author, found.reason) == (row.pinned_state, row.pinned_by, row.pin_reason)
    return same and abs(found.expires_at - row.pin_expires_at) < SLACK


def _push(row: Circuit, now: datetime, author: str = "", reason: str = "as recorded") -> None:
    truth = truth_of(row, now)
    circuits.configure(row.name, truth.settings, truth.version)
    if truth.pin is None:
        circuits.unpin(row.name, author, reason, version=truth.pin_version)
        return
    assert truth.pin.expires_at is not None
    seconds = (truth.pin.expires_at - now).total_seconds()
    circuits.pin(row.name, truth.pin.state, seconds, truth.pin.author, truth.pin.reason, version=truth.pin_version)


class CircuitKeeper:
    """Pushes circuits once a second while it leads, in a thread of its own: a hung store delays nobody.

    It also follows every circuit, so that this process hears of each transition.
    """

    def __init__(self) -> None:
        self.leads = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="circuit-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        get_runtime().warm()
        while not self._stop.wait(INTERVAL_SECONDS):
            if self.leads:
                self._keep()
        connections.close_all()

    def _keep(self) -> None:
        try:
            push_circuits()
            for name in Circuit.objects.values_list("name", flat=True):
                circuits.get_circuit(name).wait_seconds()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("circuits cannot be read from the database", extra={"error": str(error).strip()})
            connections.close_all()
        except Exception:
            logger.exception("circuits could not be kept")
