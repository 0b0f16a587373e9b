"""``manage.py circuits``: what it says, what it does, and how it fails."""

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from reliability.core.breaker import BreakerSettings
from reliability.models import AuditEntry, Circuit
from reliability.services import circuits
from reliability.services.transition_records import TransitionRecorder
from tests.reliability.services.test_transition_records import make_transition

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out, complaints = StringIO(), StringIO()
    call_command("circuits", *words, stdout=out, stderr=complaints)
    return out.getvalue()


@pytest.fixture
def name() -> str:
    name = f"t{uuid4().hex[:10]}:orders"
    circuits.configure(name, BreakerSettings(), 1)
    return name


@pytest.fixture
def committed_run(django_capture_on_commit_callbacks):
    def go(*words: str) -> str:
        with django_capture_on_commit_callbacks(execute=True):
            return run(*words)

    return go


def test_circuits_are_listed_as_they_are_now(name):
    line = next(line for line in run("list").splitlines() if line.startswith(name))

    assert line.split()[1:] == ["closed", "-", "0", "of", "0", "-"]
    assert name in [one["name"] for one in json.loads(run("list", "--json"))["results"]]


def test_one_is_shown_with_its_settings(name):
    assert "error_threshold_percentage  50" in run("show", name)
    assert json.loads(run("show", name, "--json"))["config"]["resetTimeout"] == 60000


def test_settings_are_changed_by_either_name(name, committed_run):
    line = committed_run("set", name, "timeout=5000", "failure_threshold=3", "--reason=slow days")

    assert line == f"{name} uses timeout=5000 failure_threshold=3.\n"
    settings = json.loads(run("show", name, "--json"))["settings"]
    assert (settings["cooldown_seconds"], settings["failure_threshold"]) == (5, 3)
    assert AuditEntry.objects.get().actor.startswith("cli:")


def test_one_is_pinned_unpinned_and_reset(name, committed_run):
    assert "is pinned forced_open for 60 minutes" in committed_run("pin", name, "forced_open", "--reason=maintenance")
    assert "forced_open" in run("list")
    assert "(maintenance)" in run("show", name)
    assert "is not pinned any more" in committed_run("unpin", name, "--reason=over")
    assert "half_open" in run("show", name)
    assert run("reset", name, "--reason=it is well") == f"{name} was reset.\n"
    assert f"{name} is closed" in run("show", name)


def test_history_is_newest_first(name):
    recorder = TransitionRecorder()
    for version, cause in ((1, "consecutive_failures"), (2, "cooldown_over")):
        recorder.note(make_transition(circuit=name, version=version, cause=cause, reason=""))
    recorder.write()

    assert [line.rsplit(maxsplit=1)[1] for line in run("history", name).splitlines()] == [
        "cooldown_over",
        "consecutive_failures",
    ]
    assert json.loads(run("history", name, "--json", "--limit=1"))["version"] == 2


def test_without_the_store_it_shows_what_is_recorded_and_says_so(name, monkeypatch):
    Circuit.objects.create(name=name)
    monkeypatch.setattr(
        "reliability.services.circuits.control.get_conf", lambda: type("Conf", (), {"redis_url": "redis://127.0.0.1:9"})
    )

    call_command("circuits", "list", stdout=(out := StringIO()), stderr=(complaints := StringIO()))

    assert "The shared store cannot be reached" in complaints.getvalue()
    assert name in out.getvalue()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["show", "never-seen"], "There is no circuit called 'never-seen'."),
        (["history", "never-seen"], "There is no circuit called 'never-seen'."),
        (["set", "NAME", "timeout", "--reason=r"], "write KEY=VALUE, not 'timeout'"),
        (["set", "NAME", "timeout=1", "timeout=2", "--reason=r"], "timeout is given twice"),
        (["set", "NAME", "timout=1", "--reason=r"], "there is no setting called 'timout'."),
        (["set", "NAME", "quorum=0", "--reason=r"], "quorum must be a whole number from 1 to 1000000."),
        (["pin", "NAME", "disabled", "--minutes=0", "--reason=r"], "A pin lasts up to 1440 minutes."),
        (["pin", "NAME", "disabled", "--reason= "], "Give a reason: it is kept with the change."),
        (["unpin", "NAME", "--reason=r"], "The circuit 'NAME' is not pinned."),
        (["history", "NAME", "--limit=0"], "--limit is from 1 to 10000"),
    ],
)
def test_what_cannot_be_done_is_one_line(name, words, line):
    with pytest.raises(CommandError) as raised:
        run(*(name if word == "NAME" else word for word in words))

    assert str(raised.value) == line.replace("NAME", name)
    assert not AuditEntry.objects.exists()


def test_a_database_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("connection failed: Connection refused\n\tIs the server running?")

    monkeypatch.setattr("reliability.management.commands.circuits.read_board", away)

    with pytest.raises(CommandError) as refusal:
        call_command("circuits", "list")
    assert str(refusal.value) == "The database cannot be asked: connection failed: Connection refused"
