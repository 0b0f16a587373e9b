"""What processes count is in the database once, whatever happens to the processes."""

import pytest
from django.db import OperationalError, connection

from reliability.core.metrics import Metric, MetricKind
from reliability.models import MetricTotal
from reliability.services import metering, metrics
from reliability.services.metering import TOUCH_SECONDS, Meter, fold_ended
from reliability.services.metrics import SOURCE_UP, collect, declare_counted, register_source

pytestmark = pytest.mark.django_db

CALLS = Metric("stanchion_test_calls_total", MetricKind.COUNTER, "Calls.", ("broker",))
WAITS = Metric("stanchion_test_wait_seconds", MetricKind.HISTOGRAM, "Waits.", (), (0.1, 1.0))
DEPTH = Metric("stanchion_test_depth", MetricKind.GAUGE, "Depth.")


@pytest.fixture(autouse=True)
def own_metrics(monkeypatch):
    monkeypatch.setattr(metering.background, "wake", lambda: None)
    monkeypatch.setattr(metrics, "_counted", {})
    monkeypatch.setattr(metrics, "_sources", {})
    declare_counted(CALLS, WAITS)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def counted() -> dict[tuple[str, ...], float]:
    return {sample.labels: sample.value for family in collect() if family.metric is CALLS for sample in family.samples}


def buckets() -> tuple[int, ...]:
    (found,) = [one.counts for family in collect() if family.metric is WAITS for one in family.distributions]
    return found


def test_counts_of_several_processes_add_up():
    for _ in range(3):
        meter = Meter()
        meter.count(CALLS, "sim-a")
        meter.count(CALLS, "sim-a", by=2)
        meter.observe(WAITS, value=0.1)
        meter.observe(WAITS, value=7)
        meter.write()

    assert counted() == {("sim-a",): 9.0}
    assert buckets() == (3, 0, 3)


def test_a_statement_repeated_after_a_lost_answer_counts_nothing_twice(monkeypatch):
    meter = Meter()
    meter.count(CALLS, "sim-a")
    real = connection.cursor

    class Lost:
        def __enter__(self):
            self.cursor = real()
            return self

        def execute(self, *arguments):
            self.cursor.execute(*arguments)
            raise OperationalError("the answer was lost")

        def __exit__(self, *_):
            self.cursor.close()

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", Lost)
        with pytest.raises(OperationalError):
            meter.write()
    meter.count(CALLS, "sim-a")
    meter.write()

    assert counted() == {("sim-a",): 2.0}


def test_the_counts_of_processes_that_ended_are_kept_in_common_rows():
    for _ in range(4):
        meter = Meter()
        meter.count(CALLS, "sim-a")
        meter.observe(WAITS, value=0.5)
        meter.write()
    MetricTotal.objects.update(updated_at="2026-01-01T00:00:00Z")

    assert fold_ended() == 4
    last = Meter()
    last.count(CALLS, "sim-a")
    last.observe(WAITS, value=0.5)
    last.write()
    assert (counted(), buckets()) == ({("sim-a",): 5.0}, (0, 5, 0))
    MetricTotal.objects.exclude(process="").update(updated_at="2026-01-01T00:00:00Z")
    assert fold_ended() == 1
    assert (counted(), buckets()) == ({("sim-a",): 5.0}, (0, 5, 0))
    assert set(MetricTotal.objects.values_list("process", flat=True)) == {""}


def test_a_process_that_slept_while_its_rows_were_folded_goes_on_from_zero():
    clock = Clock()
    meter = Meter(clock)
    meter.count(CALLS, "sim-a", by=5)
    meter.observe(WAITS, value=0.5)
    meter.write()
    MetricTotal.objects.update(updated_at="2026-01-01T00:00:00Z")
    assert fold_ended() == 1

    clock.now += TOUCH_SECONDS + 1
    meter.count(CALLS, "sim-a")
    meter.observe(WAITS, value=0.05)
    meter.write()
    assert (counted(), buckets()) == ({("sim-a",): 6.0}, (1, 1, 0))


def test_a_living_process_is_not_folded():
    clock = Clock()
    meter = Meter(clock)
    meter.count(CALLS, "sim-a")
    meter.write()
    MetricTotal.objects.update(updated_at="2026-01-01T00:00:00Z")
    clock.now += TOUCH_SECONDS + 1
    meter.write()

    assert fold_ended() == 0


def test_a_source_that_fails_is_reported_and_hides_no_other():
    def broken():
        raise LookupError("the store is away")

    register_source("broken", (DEPTH,), broken)
    meter = Meter()
    meter.count(CALLS, "sim-a")
    meter.write()

    (up,) = [family for family in collect() if family.metric is SOURCE_UP]
    assert {sample.labels: sample.value for sample in up.samples} == {("counted",): 1, ("broken",): 0}
    assert counted() == {("sim-a",): 1.0}


def test_labels_that_do_not_fit_are_refused_at_once():
    with pytest.raises(ValueError, match="stanchion_test_calls_total"):
        Meter().count(CALLS)
    with pytest.raises(ValueError, match="stanchion_test_depth"):
        Meter().count(DEPTH)
