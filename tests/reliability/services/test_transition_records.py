"""Every change of a circuit becomes one row, in whatever order and however often it is told; outages only delay."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reliability.core.breaker import BreakerState, Counts
from reliability.models import Circuit, CircuitTransition
from reliability.selectors.circuits import latest_transitions
from reliability.services.background import Background
from reliability.services.circuits import Transition
from reliability.services.transition_records import MOST_KEPT, TransitionRecorder

pytestmark = pytest.mark.django_db


def make_transition(**values: Any) -> Transition:
    facts = {
        "circuit": "sim-a:orders",
        "generation": "g1",
        "version": 1,
        "from_state": BreakerState.CLOSED,
        "to_state": BreakerState.OPEN,
        "cause": "reset",
        "reason": "night: why",
        "counts": Counts(successes=1, failures=5, consecutive_failures=5),
        "at": datetime(2026, 11, 24, 3, 0, 0, 123456, UTC),
        "process": "desk1:7:abc",
        "is_local": False,
    }
    return Transition(**{**facts, **values})


def test_a_transition_is_one_row_to_the_microsecond():
    recorder = TransitionRecorder()
    recorder.note(make_transition())
    recorder.write()

    row = CircuitTransition.objects.get()
    assert (row.circuit, row.generation, row.version, row.from_state, row.to_state) == (
        "sim-a:orders", "g1", 1, "closed", "open",
    )  # fmt: skip
    assert row.at == datetime(2026, 11, 24, 3, 0, 0, 123456, UTC)
    assert row.counts == {"successes": 1, "failures": 5, "slow": 0, "consecutive_failures": 5}
    assert (row.cause, row.reason, row.process, row.is_local) == ("reset", "night: why", "desk1:7:abc", False)
    assert Circuit.objects.filter(name="sim-a:orders").exists()
    assert recorder.waiting() == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["g1", "g2"]), st.integers(1, 6)), max_size=30))
def test_told_by_many_and_more_than_once_it_stays_one_row(told):
    before = CircuitTransition.objects.count()
    circuit = f"c{before}-{datetime.now(UTC).timestamp()}"
    recorders = [TransitionRecorder(), TransitionRecorder()]
    for place, (generation, version) in enumerate(told):
        recorders[place % 2].note(make_transition(circuit=circuit, generation=generation, version=version))
    for recorder in recorders:
        recorder.write()

    rows = CircuitTransition.objects.filter(circuit=circuit).values_list("generation", "version")
    assert sorted(rows) == sorted(set(told))


def test_while_the_database_is_away_transitions_wait(monkeypatch):
    recorder = TransitionRecorder()
    for version in range(1, 4):
        recorder.note(make_transition(version=version))
    with monkeypatch.context() as away:
        away.setattr("reliability.services.transition_records.write_transitions", _fail)
        with pytest.raises(OperationalError):
            recorder.write()
    assert recorder.waiting() == 3
    recorder.note(make_transition(version=4))

    recorder.write()

    assert sorted(CircuitTransition.objects.values_list("version", flat=True)) == [1, 2, 3, 4]


def _fail(*_: Any) -> None:
    raise OperationalError("the database is away")


def test_what_waits_is_bounded():
    recorder = TransitionRecorder()
    recorder._waiting.extend(make_transition(version=n) for n in range(MOST_KEPT))
    recorder.note(make_transition(version=MOST_KEPT))

    assert (recorder.waiting(), recorder.lost) == (MOST_KEPT, 1)
    assert recorder._waiting[-1].version == MOST_KEPT


def test_odd_texts_are_kept():
    recorder = TransitionRecorder()
    recorder.note(make_transition(reason="\x00\ud800" + "x" * 2000, circuit="\x00" + "n" * 300))
    recorder.write()

    assert len(CircuitTransition.objects.get().reason) == 1000


def test_rows_of_changes_are_never_changed_or_deleted():
    recorder = TransitionRecorder()
    recorder.note(make_transition())
    recorder.write()

    for change in ("UPDATE reliability_circuittransition SET cause = 'x'", "DELETE FROM reliability_circuittransition"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


def test_the_latest_of_each_circuit_is_found():
    recorder = TransitionRecorder()
    for version, second in ((1, 1), (2, 3), (3, 2)):
        at = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
        recorder.note(make_transition(version=version, at=at))
        recorder.note(make_transition(circuit="sim-b:reads", version=version + 10, at=at))
    recorder.write()

    assert {name: row.version for name, row in latest_transitions().items()} == {"sim-a:orders": 2, "sim-b:reads": 12}


def test_a_duty_that_fails_does_not_stop_the_others():
    done = []
    background = Background()
    background.add(lambda: _fail())
    background.add(lambda: 1 / 0)
    background.add(lambda: done.append(1))

    assert background.run_once() is False
    assert done == [1]
