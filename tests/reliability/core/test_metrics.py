"""Metrics are named as Prometheus wants it, and tallies count every value once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.metrics import LATENCIES, Metric, MetricKind, Sample, Tally, with_all_labels


@pytest.mark.parametrize(
    ("name", "kind", "labels", "bounds"),
    [
        ("orders_total", MetricKind.COUNTER, (), ()),
        ("stanchion_Orders_total", MetricKind.COUNTER, (), ()),
        ("stanchion_orders", MetricKind.COUNTER, (), ()),
        ("stanchion_orders_total", MetricKind.GAUGE, (), ()),
        ("stanchion_wait_seconds", MetricKind.HISTOGRAM, (), ()),
        ("stanchion_wait_seconds", MetricKind.HISTOGRAM, (), (2.0, 1.0)),
        ("stanchion_wait_seconds", MetricKind.GAUGE, (), (1.0,)),
        ("stanchion_wait_seconds", MetricKind.HISTOGRAM, ("le",), (1.0,)),
        ("stanchion_orders", MetricKind.GAUGE, ("Broker",), ()),
    ],
)
def test_a_badly_named_metric_is_refused(name, kind, labels, bounds):
    with pytest.raises(ValueError):
        Metric(name, kind, "what", labels, bounds)


@given(st.lists(st.floats(0, 100)))
def test_every_value_is_in_one_bucket_that_is_wide_enough(values):
    tally = Tally()
    for value in values:
        tally.see(value, LATENCIES)

    assert sum(tally.counts) == len(values)
    for place, bound in enumerate(LATENCIES):
        assert sum(tally.counts[: place + 1]) == sum(value <= bound for value in values)
    assert tally.value == pytest.approx(sum(values))


@given(st.lists(st.floats(0, 100), min_size=1), st.lists(st.floats(0, 100)))
def test_what_came_since_is_the_difference(before, since):
    tally = Tally()
    for value in before:
        tally.see(value, LATENCIES)
    known = tally.copy()
    for value in since:
        tally.see(value, LATENCIES)

    later = tally.minus(known)
    assert sum(later.counts) == len(since)
    assert later.value == pytest.approx(sum(since), abs=1e-6)


def test_a_sample_with_labels_its_metric_lacks_is_refused():
    metric = Metric("stanchion_orders", MetricKind.GAUGE, "what", ("broker",))
    with pytest.raises(ValueError, match="broker"):
        with_all_labels(metric, {("a", "b"): 1.0})


def test_what_is_added_is_summed_up():
    tally = Tally(1.0)
    tally.add(2.5)
    tally.add(-0.5)

    assert (tally.value, tally.counts) == (3.0, [])


def test_samples_come_with_their_labels_in_a_fixed_order():
    metric = Metric("stanchion_orders", MetricKind.GAUGE, "what", ("broker", "lane"))

    assert with_all_labels(metric, {("b", "x"): 2.0, ("a", "y"): 1.0, ("a", "x"): 3.0}) == [
        Sample(("a", "x"), 3.0),
        Sample(("a", "y"), 1.0),
        Sample(("b", "x"), 2.0),
    ]


def test_the_first_difference_is_everything_and_there_is_one_bucket_more_than_bounds() -> None:
    tally = Tally()
    tally.see(0.5, (1.0, 2.0))
    tally.see(5.0, (1.0, 2.0))
    assert tally.minus(Tally()) == Tally(5.5, [1, 0, 1])
