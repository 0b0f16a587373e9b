"""What people decide reaches processes that run already; what processes do reaches the record."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from reliability.conf import get_conf
from reliability.core.breaker import BreakerSettings, PinnedState
from reliability.core.classification import Proof
from reliability.models import Circuit, CircuitTransition
from reliability.services import circuit_records, circuits, records
from reliability.services.circuit_records import CircuitKeeper
from reliability.services.circuits.registry import get_runtime
from reliability.services.circuits.store import INDEX, connect
from reliability.services.error_rules import RuleDraft, add_rule, switch_rule
from reliability.services.records import (
    SWITCH_INTERVAL_SECONDS,
    connect_records,
    follow_records,
    hear_everything,
)
from reliability.services.transition_records import recorder

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 20.0

FOLLOWER = """
import sys, time
import django
django.setup()
from reliability.core.classification import Operation, RawFailure
from reliability.services.classification import preview
from reliability.services.records import follow_records
follow_records()
raw = RawFailure("odd_broker", Operation.SUBMIT, "E-77", "not wanted")
before = None
while True:
    code = preview(raw).rule
    if code != before:
        print("confirmed" if code.startswith("confirmed") else "guessed", flush=True)
        before = code
    time.sleep(0.02)
"""

CALLER = """
import sys, time
import django
django.setup()
from reliability.services import circuits
from reliability.services import records
from reliability.services.records import follow_records
follow_records()
if len(sys.argv) > 2:
    circuits.remove_hook(records._note_transition)
circuit = circuits.get_circuit(sys.argv[1])
def refuse():
    raise OSError("connection refused")
for _ in range(5):
    try:
        circuit.call(refuse)
    except OSError:
        pass
patience = time.monotonic() + 20
while circuit.state.value == "closed" and time.monotonic() < patience:
    time.sleep(0.02)  # on a busy machine the store answers later than a call waits for it
print(circuit.state.value, flush=True)
"""


def eventually(holds: Callable[[], bool]) -> bool:
    """Return whether it came true, looking again and again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def start(script: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start another process of this installation, on the database of the test."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    url = urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))
    env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_rule_reaches_a_process_that_runs_already_and_leaves_it_again():
    other = start(FOLLOWER)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "guessed\n"

        draft = RuleDraft("odd_broker", "BROKER_UNAVAILABLE", Proof.UNPROVEN, (), "E-77")
        rule = add_rule(draft, actor="night", reason="documented")
        assert other.stdout.readline() == "confirmed\n"

        switch_rule(rule.pk, active=False, actor="night", reason="it was not")
        assert other.stdout.readline() == "guessed\n"
    finally:
        other.kill()
        other.wait()


def test_threads_that_hear_news_need_not_wait_long_for_a_busy_one() -> None:
    before = sys.getswitchinterval()
    try:
        follow_records()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_SECONDS)
    finally:
        sys.setswitchinterval(before)


def test_a_short_process_records_the_opening_it_caused():
    name = f"t{uuid4().hex[:10]}:orders"
    other = start(CALLER, name)
    answer, _ = other.communicate(timeout=60)

    assert answer == "open\n"
    row = CircuitTransition.objects.get(circuit=name, to_state="open")
    assert (row.from_state, row.cause, row.counts["failures"]) == ("closed", "consecutive_failures", 5)
    assert Circuit.objects.filter(name=name).exists()


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Any:
    with connect(get_conf().redis_url, 1.0) as client:
        client.delete(INDEX)
    monkeypatch.setattr(circuit_records, "INTERVAL_SECONDS", 0.05)
    keeper = CircuitKeeper()
    keeper.start()
    yield keeper
    keeper.stop()


def test_the_keeper_brings_what_a_lost_message_did_not(keeper):
    name = f"t{uuid4().hex[:10]}:orders"
    circuits.configure(name, BreakerSettings(), 1)
    Circuit.objects.create(
        name=name,
        quorum=2,
        settings_version=2,
        pinned_state="forced_open",
        pinned_by="night",
        pin_reason="maintenance",
        pin_expires_at=timezone.now() + timedelta(minutes=30),
        pin_version=7,
    )

    keeper.leads = True

    assert eventually(lambda: circuits.get_circuit(name).state is PinnedState.FORCED_OPEN)
    found = next(status for status in circuits.list_statuses() if status.name == name)
    assert (found.settings.quorum, found.pin and found.pin.author) == (2, "night")


@pytest.fixture
def hearing() -> Any:
    """This process records what all others do, as the sentinel does."""
    hear_everything()
    get_runtime().warm()
    yield
    circuits.remove_hook(records._note_transition)
    connect_records()


def test_the_opening_of_a_process_that_died_is_recorded_by_who_heard_it(hearing):
    name = f"t{uuid4().hex[:10]}:orders"
    circuits.get_circuit(name).wait_seconds()
    other = start(CALLER, name, "never records")
    answer, _ = other.communicate(timeout=60)
    assert answer == "open\n"

    assert eventually(lambda: any(one.circuit == name for one in list(recorder._waiting)))
    recorder.write()

    row = CircuitTransition.objects.get(circuit=name, to_state="open")
    assert row.process != get_runtime().process
