"""Settings, pins and resets: the row first, then every process; with the store away, later."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from reliability.conf import get_conf
from reliability.core.breaker import BreakerSettings, BreakerState, PinnedState
from reliability.core.errors import ReliabilityError
from reliability.models import AuditEntry, Circuit
from reliability.services import circuits
from reliability.services.circuit_board import Unseen, get_circuit_view, read_board
from reliability.services.circuit_changes import change_settings, pin_circuit, reset_circuit, unpin_circuit
from reliability.services.circuit_records import load_truth, push_circuits
from reliability.services.circuits.store import INDEX, connect, keys

pytestmark = pytest.mark.django_db

WHO = {"actor": "night", "reason": "the broker asked for it"}


@pytest.fixture(autouse=True)
def empty_store() -> None:
    """The shared store has no circuits of earlier tests."""
    with connect(get_conf().redis_url, 1.0) as client:
        client.delete(INDEX)


@pytest.fixture
def name() -> str:
    return f"t{uuid4().hex[:10]}:orders"


@pytest.fixture
def called(name: str) -> str:
    """A circuit that the shared store has."""
    circuits.configure(name, BreakerSettings(), 1)
    return name


@pytest.fixture
def commits(django_capture_on_commit_callbacks):
    return lambda: django_capture_on_commit_callbacks(execute=True)


def status_of(name: str) -> circuits.CircuitStatus:
    return next(status for status in circuits.list_statuses() if status.name == name)


def test_settings_reach_the_store_when_the_change_is_committed(called, commits):
    with commits():
        change_settings(called, {"failureThreshold": "7", "cooldown_seconds": 12}, **WHO)

    assert status_of(called).settings == BreakerSettings(failure_threshold=7, cooldown_seconds=12)
    assert status_of(called).settings_version == 2
    entry = AuditEntry.objects.get(action="set_circuit")
    assert (entry.actor, entry.subject) == ("night", f"circuit:{called}")
    assert entry.before == {"failure_threshold": 5, "cooldown_seconds": 30.0}
    assert entry.after == {"failure_threshold": 7, "cooldown_seconds": 12, "version": 2}


def test_settings_that_are_so_already_change_nothing(called):
    change_settings(called, {"timeout": 30000}, **WHO)

    assert Circuit.objects.get(name=called).settings_version == 1
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"failure_treshold": 3}, "no setting called 'failure_treshold'"),
        ({"timeout": "soon"}, "timeout must be a number"),
        ({"timeout": 1, "cooldown_seconds": 2}, "cooldown_seconds is given twice"),
        ({"failureThreshold": 2.5}, "must be a whole number"),
        ({"errorThresholdPercentage": 101}, "at most 100"),
        ({"resetTimeout": float("nan")}, "must be a number"),
        ({"volume_threshold": 10**400}, "must be a number"),
        ({"quorum": True}, "must be a number"),
    ],
)
def test_a_setting_that_cannot_be_changes_nothing(called, values, words):
    with pytest.raises(ReliabilityError, match=words) as raised:
        change_settings(called, values, **WHO)

    assert raised.value.code == "VALIDATION_INVALID_REQUEST"
    assert status_of(called).settings == BreakerSettings()


def test_a_pin_holds_everywhere_until_it_is_removed(called, commits):
    with commits():
        pin_circuit(called, PinnedState.FORCED_OPEN, minutes=60, **WHO)
    pinned = status_of(called)
    with commits():
        unpin_circuit(called, **WHO)

    assert pinned.state is PinnedState.FORCED_OPEN
    assert (pinned.pin.author, pinned.pin.reason) == ("night", "the broker asked for it")
    assert abs(pinned.pin.expires_at - timezone.now() - timedelta(minutes=60)) < timedelta(seconds=5)
    assert status_of(called).state is BreakerState.HALF_OPEN
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == ["pin_circuit", "unpin_circuit"]


def test_pins_can_follow_each_other(called, commits):
    for state in (PinnedState.DISABLED, PinnedState.FORCED_OPEN, PinnedState.METRICS_ONLY):
        with commits():
            pin_circuit(called, state, minutes=5, **WHO)
        assert status_of(called).state is state


@pytest.mark.parametrize("minutes", [0, -1, 24 * 60 + 1, float("nan"), float("inf")])
def test_a_pin_has_an_end_within_a_day(called, minutes):
    with pytest.raises(ReliabilityError, match="up to 1440 minutes"):
        pin_circuit(called, PinnedState.DISABLED, minutes=minutes, **WHO)


def test_what_is_not_pinned_cannot_be_unpinned(called):
    with pytest.raises(ReliabilityError, match="is not pinned"):
        unpin_circuit(called, **WHO)


@pytest.mark.parametrize("name", ["never-seen", "\x00", "x" * 300, "\ud800"])
def test_there_is_no_circuit_nobody_has_seen(name):
    for act in (
        lambda: change_settings(name, {"quorum": 2}, **WHO),
        lambda: pin_circuit(name, PinnedState.DISABLED, minutes=1, **WHO),
        lambda: unpin_circuit(name, **WHO),
        lambda: reset_circuit(name, **WHO),
        lambda: get_circuit_view(name),
    ):
        with pytest.raises(ReliabilityError) as raised:
            act()
        assert raised.value.code == "VALIDATION_NOT_FOUND"


@pytest.mark.parametrize("act", [unpin_circuit, reset_circuit])
def test_every_change_wants_a_reason(called, act):
    with pytest.raises(ReliabilityError, match="Give a reason"):
        act(called, actor="night", reason=" ")


def test_a_reset_closes_and_forgets(called):
    circuit = circuits.get_circuit(called)
    for _ in range(5):
        with pytest.raises(OSError):
            circuit.call(_refuse)
    assert status_of(called).state is BreakerState.OPEN

    reset_circuit(called, **WHO)

    assert (status_of(called).state, status_of(called).consecutive_failures) == (BreakerState.CLOSED, 0)


def _refuse() -> None:
    raise OSError("connection refused")


def test_with_the_store_away_the_row_waits_and_is_pushed_later(called, commits, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr("reliability.services.circuits.control.get_conf", _nowhere)
        with commits():
            pin_circuit(called, PinnedState.FORCED_OPEN, minutes=60, **WHO)
            change_settings(called, {"quorum": 2}, **WHO)
        with pytest.raises(ReliabilityError, match="nothing was reset"):
            reset_circuit(called, **WHO)
        view = get_circuit_view(called)
        assert (view.pin.state, view.settings.quorum, view.is_current) == (PinnedState.FORCED_OPEN, 2, False)
        assert not read_board().is_reachable
        assert push_circuits() == 0
    assert status_of(called).state is BreakerState.CLOSED

    assert push_circuits() == 1

    assert (status_of(called).state, status_of(called).settings.quorum) == (PinnedState.FORCED_OPEN, 2)
    assert push_circuits() == 0
    assert get_circuit_view(called).is_current


def _nowhere():
    class Conf:
        redis_url = "redis://127.0.0.1:9/0"

    return Conf()


def test_a_store_that_lost_everything_gets_pins_again(called, commits):
    with commits():
        pin_circuit(called, PinnedState.DISABLED, minutes=60, **WHO)
    _forget(called)
    assert get_circuit_view(called).state is PinnedState.DISABLED

    push_circuits()

    assert status_of(called).state is PinnedState.DISABLED


def _forget(name: str) -> None:
    with connect(get_conf().redis_url, 1.0) as client:
        client.delete(*keys(name))
        client.srem(INDEX, name)


def test_rows_older_than_the_store_win_over_it(called, commits):
    with commits():
        change_settings(called, {"quorum": 2}, **WHO)
        change_settings(called, {"quorum": 3}, **WHO)
    Circuit.objects.filter(name=called).update(settings_version=2, quorum=2)  # as after a restored backup

    push_circuits()

    assert (status_of(called).settings.quorum, status_of(called).settings_version) == (2, 4)


def test_settings_of_a_program_become_the_row_of_a_circuit_nobody_edited(name):
    Circuit.objects.create(name=name)
    circuits.configure(name, BreakerSettings(failure_threshold=9), 1)

    push_circuits()

    assert Circuit.objects.get(name=name).failure_threshold == 9
    assert status_of(name).settings.failure_threshold == 9


def test_a_circuit_gets_a_row_when_the_store_has_it(called):
    assert load_truth(called) is None
    push_circuits()

    truth = load_truth(called)

    assert (truth.settings, truth.version, truth.pin) == (BreakerSettings(), 1, None)


def test_a_pin_whose_time_is_over_is_none(called, commits):
    with commits():
        pin_circuit(called, PinnedState.DISABLED, minutes=5, **WHO)
    Circuit.objects.filter(name=called).update(pin_expires_at=timezone.now() - timedelta(minutes=1))

    assert load_truth(called).pin is None
    push_circuits()
    assert Circuit.objects.get(name=called).pinned_by == "night"


def test_a_circuit_nobody_calls_is_idle(name):
    Circuit.objects.create(name=name)

    assert get_circuit_view(name).state is Unseen.IDLE
