"""A pulse tells the living from the dead; a slot lets one of several act."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.checks.registry import registry
from django.db import connection
from django.utils import timezone

from reliability.models import Heartbeat, Job
from reliability.selectors.processes import is_silent_since
from reliability.services.jobs import runner as runner_module
from reliability.services.jobs.enqueue import NewJob, enqueue_jobs
from reliability.services.jobs.rescue import end_dead_processes, look_for_lost, rescue_lost_jobs
from reliability.services.jobs.runner import JobRunner
from reliability.services.jobs.table import claim_jobs
from reliability.services.pulse import PULSE_CLASS, Pulse, Slot, open_connection
from reliability.services.session_check import check_sessions
from tests.factories import make_process
from tests.fakes import Deed

pytestmark = pytest.mark.usefixtures("committed")

_SLOT = 900


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def holds_lock(pulse: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted",
            [PULSE_CLASS, pulse],
        )
        return bool(cursor.fetchone()[0])


def terminate(application: str) -> None:
    """End the server's side of the connections of that name, as an outage does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE %s AND pid <> pg_backend_pid() AND datname = current_database()",
            [application],
        )


@pytest.fixture
def pulse() -> Iterator[Pulse]:
    made = Pulse("worker", "of a test")
    yield made
    made.stop()


def test_a_process_that_stops_says_so(pulse: Pulse) -> None:
    assert holds_lock(pulse.number)
    pulse.stop()
    row = Heartbeat.objects.get(pulse=pulse.number)
    assert (row.end_reason, row.ended_at is None) == ("stopped", False)
    wait_for(lambda: not holds_lock(pulse.number))


def test_a_pulse_comes_back_with_its_number_after_its_connection_was_lost(pulse: Pulse) -> None:
    number = pulse.number
    terminate("stanchion pulse%")
    wait_for(lambda: holds_lock(number))
    assert pulse.number == number
    assert Heartbeat.objects.get(pulse=number).ended_at is None


def test_a_process_without_a_pulse_is_marked_dead() -> None:
    lost = Heartbeat.objects.create(pulse=10**6, kind="worker", name="gone", host="h", pid=1)
    wait_for(lambda: [process.name for process in end_dead_processes()] == ["gone"])
    lost.refresh_from_db()
    assert lost.end_reason == "died"


def child() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def test_a_process_of_this_machine_is_dead_as_soon_as_it_is_killed() -> None:
    killed, living = child(), child()
    try:
        host = socket.gethostname()
        for number, (name, process) in enumerate((("killed", killed), ("living", living), ("elsewhere", killed))):
            there = host if name != "elsewhere" else "another-machine"
            Heartbeat.objects.create(pulse=10**6 + number, kind="worker", name=name, host=there, pid=process.pid)
        assert end_dead_processes(by_silence=False) == []
        assert look_for_lost() == (False, True)

        killed.kill()
        wait_for(lambda: [one.name for one in end_dead_processes(by_silence=False)] == ["killed"])
        killed.wait()
        Heartbeat.objects.filter(name="killed").update(ended_at=None)
        assert [one.name for one in end_dead_processes(by_silence=False)] == ["killed"]  # its parent knows as well
        assert end_dead_processes(by_silence=False) == []
    finally:
        for process in (killed, living):
            process.kill()
            process.wait()


def test_a_job_of_a_process_without_a_pulse_is_seen_in_one_look(pulse: Pulse, deed: Deed) -> None:
    enqueue_jobs(deed.name, [NewJob(payload={"n": 1})])
    claim_jobs("default", pulse.number, 1)
    assert look_for_lost() == (False, False)

    pulse.stop()
    wait_for(lambda: look_for_lost()[0])
    assert not look_for_lost(by_pulse=False)[0]
    rescue_lost_jobs()
    assert look_for_lost() == (False, False)


def test_one_of_two_holds_a_slot_and_the_other_takes_over() -> None:
    first, second = Slot(_SLOT, "first"), Slot(_SLOT, "second")
    try:
        assert (first.hold(), second.hold(), first.hold()) == (True, False, True)
        first.leave()
        wait_for(second.hold)
        assert not first.hold()
    finally:
        first.leave()
        second.leave()


def test_a_holder_whose_connection_was_lost_no_longer_leads() -> None:
    first, second = Slot(_SLOT, "first"), Slot(_SLOT, "second")
    try:
        assert first.hold()
        terminate("stanchion slot first")
        wait_for(second.hold)
        assert not first.hold()
    finally:
        first.leave()
        second.leave()


def test_a_place_can_be_taken_from_a_holder_that_does_nothing() -> None:
    first, second = Slot(_SLOT, "first"), Slot(_SLOT, "second")
    try:
        assert not second.evict(timedelta(0))
        assert first.hold()
        assert not second.hold()
        assert not second.evict(timedelta(minutes=1))
        assert second.evict(timedelta(0))
        wait_for(second.hold)
        assert not first.hold()
    finally:
        first.leave()
        second.leave()


def test_a_process_is_silent_when_it_lives_and_has_not_beaten_for_long() -> None:
    now = timezone.now()
    living = make_process(beat_at=now)
    stopped = make_process(beat_at=now - timedelta(seconds=5))
    dead = make_process(beat_at=now - timedelta(seconds=5), ended_at=now)

    asked = [is_silent_since(one.pulse, timedelta(seconds=3)) for one in (living, stopped, dead)]
    assert asked == [False, True, False]


# -- the runner ------------------------------------------------------------------------------


@pytest.fixture
def runner(deed: Deed, pulse: Pulse) -> Iterator[JobRunner]:
    made = JobRunner(["default"], pulse)
    yield made
    made.stop(5)


def enqueue(*numbers: int) -> None:
    enqueue_jobs("tests.deed", [NewJob(payload={"n": number}) for number in numbers])


def all_succeeded() -> bool:
    return not Job.objects.exclude(state="succeeded").exists()


def test_a_runner_finds_its_work_without_being_told(deed: Deed, runner: JobRunner) -> None:
    enqueue(*range(250))
    wait_for(all_succeeded)
    assert sorted(deed.applied) == list(range(250))


def test_a_nudge_for_a_lane_it_does_not_serve_is_no_harm(deed: Deed, runner: JobRunner) -> None:
    runner.wake("orders")
    enqueue(1)
    runner.wake("default")
    wait_for(all_succeeded)


def test_a_runner_that_is_told_does_not_wait_for_its_next_look(
    deed: Deed, pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "find_due", lambda lanes: [])
    runner = JobRunner(["default"], pulse)
    for number in range(3):
        enqueue(number)
        wait_for(all_succeeded)
    runner.stop(5)
    assert deed.applied == [0, 1, 2]


def test_a_runner_claims_no_more_than_can_begin(deed: Deed, pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    claims: list[int] = []
    original = runner_module.claim_and_prepare

    def claim(lane: str, worker: int, limit: int, *options: Any) -> Any:
        claims.append(limit)
        return original(lane, worker, limit, *options)

    monkeypatch.setattr(runner_module, "claim_and_prepare", claim)
    monkeypatch.setattr(deed, "room", lambda under_way: max(0, 7 - len(under_way)), raising=False)
    enqueue(*range(30))
    runner = JobRunner(["default"], pulse)
    wait_for(all_succeeded)
    runner.stop(5)
    assert max(claims) == 7


def test_others_go_on_between_suspects(deed: Deed, pulse: Pulse) -> None:
    enqueue(*range(4), *range(10, 15))
    Job.objects.filter(payload__n__lt=4).update(crashes=4)
    runner = JobRunner(["default"], pulse)
    wait_for(all_succeeded)
    runner.stop(5)

    assert sorted(deed.applied) == [*range(4), *range(10, 15)]
    assert deed.applied[-1] < 4, "a suspect was the last: it waited for the others, not they for it"


def test_a_runner_retries(deed: Deed, runner: JobRunner) -> None:
    from reliability.core.jobs import JobError, Retry

    deed.settle = {1: [Retry(JobError("SYSTEM_UNEXPECTED", "as planned"))] * 2}
    enqueue(1)
    wait_for(all_succeeded)
    assert deed.performed == [1, 1, 1]


def test_a_runner_outlives_the_connections_it_loses(deed: Deed, runner: JobRunner) -> None:
    for number in range(5):
        enqueue(number)
        terminate("stanchion")
    wait_for(all_succeeded)
    assert set(deed.applied) == set(range(5))


def test_a_transaction_that_was_left_waiting_too_long_is_done_again(
    deed: Deed, runner: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, delayed = deed.apply, []

    def apply_slowly_once(outcomes: Any) -> Any:
        if not delayed:
            delayed.append(True)
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 10")
                time.sleep(0.3)
                cursor.execute("SELECT 1")
        return original(outcomes)

    monkeypatch.setattr(deed, "apply", apply_slowly_once)
    enqueue(1)
    wait_for(all_succeeded)
    assert (deed.performed, deed.applied) == ([1], [1])


def test_a_runner_that_stops_hands_back_what_has_not_begun(deed: Deed, pulse: Pulse) -> None:
    runner = JobRunner(["default"], pulse)
    runner._calls.refuse_new_calls()  # as it is between the signal to stop and the last claim
    enqueue(1, 2, 3)
    wait_for(lambda: Job.objects.filter(snoozes__gt=0).count() == 3)
    runner.stop(10)

    assert deed.performed == []
    assert set(Job.objects.values_list("state", "attempt", "worker")) == {("ready", 0, None)}


def test_a_runner_that_stops_waits_for_what_has_begun(deed: Deed, pulse: Pulse) -> None:
    import asyncio

    runner = JobRunner(["default"], pulse)
    deed.hold = asyncio.Event()
    enqueue(1)
    wait_for(lambda: deed.held)
    runner._calls._loop.call_soon_threadsafe(deed.hold.set)
    runner.stop(10)

    assert all_succeeded()


class OfOneSession:
    """What a pooler in transaction mode gives: connections by the look of it, one session behind them all."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def execute(self, *statement: Any) -> Any:
        return self._session.execute(*statement)

    def __enter__(self) -> "OfOneSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The session goes on for the others."""


def away(purpose: str) -> Any:
    raise psycopg.OperationalError("connection refused")


@pytest.fixture
def pooled() -> Iterator[Any]:
    with open_connection("a pooler") as session:
        yield lambda purpose: OfOneSession(session)


def test_a_process_without_a_session_of_its_own_ends_with_a_line(pooled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reliability.services.pulse.open_connection", pooled)
    before = Heartbeat.objects.count()

    with pytest.raises(SystemExit, match="pooler in transaction mode"):
        Pulse("worker", "of a pooler")

    assert Heartbeat.objects.count() == before


def test_the_check_of_the_database_tells_of_shared_sessions_and_of_nothing_else(pooled: Any) -> None:
    assert [one.id for one in check_sessions(None, ["default"], connect=pooled)] == ["stanchion.E001"]
    assert check_sessions(None, ["default"]) == []
    assert check_sessions(None, None, connect=pooled) == []
    assert [one.id for one in check_sessions(None, ["default"], connect=away)] == ["stanchion.E002"]
    assert check_sessions in registry.get_checks(include_deployment_checks=False)
