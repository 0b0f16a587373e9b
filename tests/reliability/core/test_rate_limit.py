"""No window ever sees more calls than the limit, and orders come first."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reliability.core.rate_limit import Bucket, LeasedTokens, Priority, RateLimit, charge, penalize, take

PRIORITIES = st.sampled_from(list(Priority))


@st.composite
def limits(draw: st.DrawFn) -> RateLimit:
    calls = draw(st.integers(1, 400))
    return RateLimit(
        calls=calls,
        per_seconds=draw(st.sampled_from([0.5, 1.0, 10.0, 60.0])),
        burst=draw(st.integers(1, calls)),
        reserve=draw(st.sampled_from([0.0, 0.3, 0.9])),
    )


def most_in_a_window(moments: list[float], length: float) -> int:
    moments = sorted(moments)
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= length * (1 - 1e-6):
            first += 1
        most = max(most, last - first + 1)
    return most


class LimiterMachine(RuleBasedStateMachine):
    """The bucket against one that adds tokens as time passes."""

    @initialize(limit=limits())
    def begin(self, limit: RateLimit) -> None:
        self.limit = limit
        self.bucket = Bucket()
        self.now = 0.0
        self.level = float(limit.burst)
        self.paused_until = 0.0
        self.granted: list[float] = []

    @rule(share=st.floats(0, 1.5))
    def pass_time(self, share: float) -> None:
        seconds = share * self.limit.per_seconds
        self.now += seconds
        self.level = min(float(self.limit.burst), self.level + seconds / self.limit.interval_seconds)

    @rule(wanted=st.integers(1, 60), priority=PRIORITIES)
    def ask(self, wanted: int, priority: Priority) -> None:
        kept = 0 if priority is Priority.CRITICAL else round(self.limit.reserve_seconds / self.limit.interval_seconds)
        free = self.level - kept
        assume(abs(free - round(free)) > 1e-6 or free == round(free))

        self.bucket, granted, wait = take(self.limit, self.bucket, self.now, wanted, priority)

        expected = 0 if self.now < self.paused_until else max(0, min(wanted, math.floor(free + 1e-6)))
        assert granted == expected
        assert (wait > 0) == (granted == 0)
        self.level -= granted
        self.granted += [self.now] * granted
        if self.now < self.paused_until:
            assert wait == self.paused_until - self.now
        elif granted == 0:
            after = take(self.limit, self.bucket, self.now + wait * (1 + 1e-9) + 1e-9, 1, priority)
            assert after[1] == 1, "the wait it names is enough"

    @rule(seconds=st.floats(0, 5))
    def told_to_slow_down(self, seconds: float) -> None:
        self.bucket = penalize(self.bucket, self.now, seconds)
        self.paused_until = max(self.paused_until, self.now + seconds)

    @invariant()
    def no_window_has_more_than_the_limit(self) -> None:
        assert most_in_a_window(self.granted[-600:], self.limit.per_seconds) <= self.limit.calls


LimiterMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLimiterMachine = LimiterMachine.TestCase


@settings(max_examples=60, deadline=None)
@given(
    limits(),
    st.lists(st.tuples(st.floats(0, 0.2), st.integers(0, 3), PRIORITIES, st.integers(1, 30)), max_size=120),
)
def test_leases_of_several_processes_together_keep_the_limit(
    limit: RateLimit, steps: list[tuple[float, int, Priority, int]]
) -> None:
    shared, now = Bucket(), 0.0
    processes = [LeasedTokens(limit) for _ in range(4)]
    calls: list[float] = []
    for share, number, priority, attempts in steps:
        now += share * limit.per_seconds
        tokens = processes[number]
        for _ in range(attempts):
            if not tokens.use(now, priority):
                shared, granted, _ = take(limit, shared, now, tokens.wanted, priority)
                if not granted:
                    break
                tokens.add(now, granted, priority)
                assert tokens.use(now, priority) or limit.lease_seconds == 0
            calls.append(now)

    assert most_in_a_window(calls, limit.per_seconds) <= limit.calls


@given(limits(), st.integers(1, 64), st.lists(st.floats(0, 0.3), max_size=200))
def test_processes_that_do_not_hear_of_each_other_keep_the_limit(
    limit: RateLimit, processes: int, steps: list[float]
) -> None:
    share = limit.share(processes)

    assert share.calls / share.per_seconds * processes <= limit.calls / limit.per_seconds * (1 + 1e-9)
    bucket, now, calls = Bucket(), 0.0, []
    for step in steps:
        now += step * share.per_seconds
        bucket, granted, _ = take(share, bucket, now, 1, Priority.CRITICAL)
        calls += [now] * granted
    assert most_in_a_window(calls, share.per_seconds) <= share.calls


def test_other_work_leaves_the_reserve_to_orders() -> None:
    limit = RateLimit(calls=200, per_seconds=60, burst=20, reserve=0.3)

    bucket, others, _ = take(limit, Bucket(), 0.0, 100, Priority.NORMAL)
    bucket, orders, _ = take(limit, bucket, 0.0, 100, Priority.CRITICAL)

    assert (others, orders) == (14, 6)


def test_a_limit_of_one_serves_other_work_too() -> None:
    limit = RateLimit(calls=1, per_seconds=1, reserve=0.9)

    assert take(limit, Bucket(), 0.0, 1, Priority.NORMAL)[1] == 1


@given(limits(), st.integers(0, 1000), st.floats(0, 100))
def test_a_charge_never_takes_more_than_there_is(limit: RateLimit, tokens: int, now: float) -> None:
    bucket = charge(limit, Bucket(), now, tokens)

    assert bucket.full_at <= now + limit.capacity_seconds + 1e-9
    assert take(limit, bucket, now + limit.interval_seconds * 1.001, 1, Priority.CRITICAL)[1] == 1


@given(st.floats(0, 100), st.floats(-5, 100), st.floats(-5, 100))
def test_a_pause_is_never_shortened(now: float, first: float, second: float) -> None:
    bucket = penalize(penalize(Bucket(), now, first), now, second)

    assert bucket.paused_until == now + max(first, second, 0.0)


def test_tokens_taken_by_orders_are_for_orders() -> None:
    tokens = LeasedTokens(RateLimit(calls=200, per_seconds=60))
    tokens.add(0.0, 2, Priority.CRITICAL)

    assert not tokens.use(0.0, Priority.NORMAL)
    assert tokens.use(0.0, Priority.CRITICAL)


def test_leased_tokens_expire() -> None:
    limit = RateLimit(calls=200, per_seconds=60)
    tokens = LeasedTokens(limit)
    tokens.add(0.0, 2, Priority.NORMAL)

    assert tokens.has(limit.lease_seconds * 0.99, Priority.NORMAL)
    assert not tokens.has(limit.lease_seconds, Priority.NORMAL)
    assert not tokens.use(limit.lease_seconds, Priority.NORMAL)


def test_leases_grow_while_they_are_used_up_and_shrink_when_they_are_not() -> None:
    tokens = LeasedTokens(RateLimit(calls=5000, per_seconds=1))
    sizes = []
    for _ in range(8):
        tokens.add(0.0, tokens.wanted, Priority.NORMAL)
        while tokens.use(0.0, Priority.NORMAL):
            pass
        sizes.append(tokens.wanted)
    assert sizes == sorted(sizes)
    assert sizes[-1] == tokens.most > 32

    tokens.add(0.0, tokens.wanted, Priority.NORMAL)
    tokens.use(10.0, Priority.NORMAL)
    assert tokens.wanted == sizes[-1] // 2


@pytest.mark.parametrize(
    "values",
    [
        {"calls": 0, "per_seconds": 1.0},
        {"calls": 1, "per_seconds": 0.0},
        {"calls": 5, "per_seconds": 1.0, "burst": 6},
        {"calls": 5, "per_seconds": 1.0, "reserve": 1.0},
    ],
)
def test_a_limit_without_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        RateLimit(**values)  # type: ignore[arg-type]
