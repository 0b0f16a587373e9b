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
        kept = round(self.limit.kept_seconds(priority) / self.limit.interval_seconds)
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
    bucket, orders, _ = take(limit, bucket, 0.0, 100, Priority.HIGH)
    bucket, look_ups, _ = take(limit, bucket, 0.0, 100, Priority.CRITICAL)

    assert (others, orders, look_ups) == (14, 4, 2)


@given(limits(), st.lists(st.floats(0.01, 3), min_size=1, max_size=40))
def test_a_look_up_waits_for_one_token_at_most_however_many_orders_ask(limit: RateLimit, steps: list[float]) -> None:
    """Orders ask for all there is at every moment; whoever settles an order has the next token that comes back."""
    assume(limit.kept_seconds(Priority.HIGH) > 0)
    bucket, now = Bucket(), 0.0
    for step in steps:
        now += step * limit.interval_seconds
        bucket, _, _ = take(limit, bucket, now, 1000, Priority.HIGH)
        bucket, settled, wait = take(limit, bucket, now, 1, Priority.CRITICAL)
        assert settled == 1 or wait <= limit.interval_seconds * (1 + 1e-6)


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


def test_a_limit_says_for_itself_how_much_may_come_at_once_and_how_long_a_lease_lasts() -> None:
    minute, second, one = RateLimit(200, 60), RateLimit(7, 1), RateLimit(1, 3600)

    assert [limit.burst for limit in (minute, RateLimit(199, 60), second, one)] == [20, 19, 1, 1]
    assert [limit.lease_seconds for limit in (minute, second, one)] == [3.0, 0.05, 3.0]
    assert RateLimit(200, 60, lease_seconds=0.0).lease_seconds == 0.0, "no lease is a lease too"
    assert RateLimit(200, 60, lease_seconds=0.5).lease_seconds == 0.5


def test_the_share_of_a_process_is_the_even_part_without_leases() -> None:
    whole = RateLimit(100, 60, burst=10)

    assert whole.share(4) == RateLimit(25, 60, burst=2, lease_seconds=0.0)
    assert whole.share(100) == RateLimit(1, 60, burst=1, lease_seconds=0.0)
    assert whole.share(250) == RateLimit(1, 180, burst=1, lease_seconds=0.0)
    with pytest.raises(ValueError, match="processes"):
        whole.share(0)


@given(limits(), st.integers(0, 50), st.integers(0, 1000), st.floats(0, 100))
def test_a_charge_takes_exactly_what_was_taken_elsewhere(
    limit: RateLimit, before: int, tokens: int, now: float
) -> None:
    bucket, granted, _ = take(limit, Bucket(), now, before, Priority.CRITICAL)
    left = max(0, limit.burst - granted - tokens)

    bucket = charge(limit, bucket, now, tokens)

    assert take(limit, bucket, now, limit.burst, Priority.CRITICAL)[1] == left


def test_a_pause_ends_at_its_instant() -> None:
    bucket = penalize(Bucket(), 0.0, 5.0)

    assert take(RateLimit(10, 1), bucket, 4.5, 1, Priority.CRITICAL)[1:] == (0, 0.5)
    assert take(RateLimit(10, 1), bucket, 5.0, 1, Priority.CRITICAL)[1] == 1


def test_the_wait_for_the_next_token_is_the_rest_of_its_interval() -> None:
    limit = RateLimit(10, 1.0, burst=1, lease_seconds=0.0)
    bucket, _, _ = take(limit, Bucket(), 0.0, 1, Priority.CRITICAL)

    assert take(limit, bucket, 0.04, 1, Priority.CRITICAL)[2] == pytest.approx(limit.interval_seconds - 0.04)


def test_no_tokens_are_there_before_any_were_leased() -> None:
    tokens = LeasedTokens(RateLimit(calls=200, per_seconds=60))

    assert tokens.wanted == 1
    for priority in Priority:
        assert not tokens.has(0.0, priority)
        assert not tokens.use(0.0, priority)


@pytest.mark.parametrize("kind", list(Priority))
@pytest.mark.parametrize("user", list(Priority))
def test_has_says_before_use_whether_there_is_a_token(kind: Priority, user: Priority) -> None:
    tokens = LeasedTokens(RateLimit(calls=200, per_seconds=60))
    tokens.add(0.0, 2, kind)

    uses = []
    for _ in range(3):
        expected = tokens.has(0.0, user)
        uses.append(tokens.use(0.0, user))
        assert uses[-1] is expected
    ranks = list(Priority)
    assert uses == ([True, True, False] if ranks.index(user) <= ranks.index(kind) else [False] * 3)


def test_tokens_added_to_a_living_lease_end_with_it_and_add_up() -> None:
    limit = RateLimit(calls=200, per_seconds=60)
    tokens = LeasedTokens(limit)
    tokens.add(0.0, 1, Priority.NORMAL)
    tokens.add(1.0, 2, Priority.NORMAL)
    tokens.add(1.0, 1, Priority.CRITICAL)
    tokens.add(1.0, 2, Priority.CRITICAL)

    assert not tokens.has(limit.lease_seconds, Priority.NORMAL), "the first of them would have ended now"
    assert [tokens.use(1.0, Priority.NORMAL) for _ in range(4)] == [True, True, True, False]
    assert [tokens.use(1.0, Priority.CRITICAL) for _ in range(4)] == [True, True, True, False]


def test_an_expired_lease_leaves_nothing_to_the_next_one() -> None:
    limit = RateLimit(calls=200, per_seconds=60)
    tokens = LeasedTokens(limit)
    tokens.add(0.0, 5, Priority.NORMAL)
    tokens.add(limit.lease_seconds, 1, Priority.NORMAL)

    assert [tokens.use(limit.lease_seconds, Priority.NORMAL) for _ in range(2)] == [True, False]
    assert tokens.use(2 * limit.lease_seconds, Priority.NORMAL) is False
    tokens.add(2 * limit.lease_seconds, 1, Priority.NORMAL)
    assert tokens.has(2.5 * limit.lease_seconds, Priority.NORMAL), "a lease of its own, of full length"


def test_a_lease_that_expired_makes_the_next_one_smaller_once() -> None:
    tokens = LeasedTokens(RateLimit(calls=5000, per_seconds=1))
    for _ in range(3):
        tokens.add(0.0, 1, Priority.NORMAL)
        tokens.use(0.0, Priority.NORMAL)
    tokens.add(0.0, 5, Priority.NORMAL)

    sizes = [tokens.wanted]
    for _ in range(3):
        tokens.use(10.0, Priority.NORMAL)
        sizes.append(tokens.wanted)
    assert sizes == [8, 4, 4, 4]


def test_a_lease_doubles_only_when_nothing_of_it_is_left_and_never_falls_below_one() -> None:
    tokens = LeasedTokens(RateLimit(calls=5000, per_seconds=1))
    tokens.add(0.0, 1, Priority.NORMAL)
    tokens.add(0.0, 1, Priority.CRITICAL)
    tokens.use(0.0, Priority.NORMAL)
    assert tokens.wanted == 1
    tokens.use(0.0, Priority.CRITICAL)
    assert tokens.wanted == 2

    for moment in (10.0, 20.0, 30.0):
        tokens.add(moment, 1, Priority.NORMAL)
        tokens.use(moment + 5.0, Priority.NORMAL)
    assert tokens.wanted == 1


def test_whoever_was_told_to_slow_down_forgets_what_it_leased() -> None:
    tokens = LeasedTokens(RateLimit(calls=200, per_seconds=60))
    tokens.add(0.0, 5, Priority.CRITICAL)
    tokens.add(0.0, 5, Priority.NORMAL)
    tokens.drop()

    assert not any(tokens.has(0.0, priority) for priority in Priority)
    assert not any(tokens.use(0.0, priority) for priority in Priority)
    tokens.add(0.0, 1, Priority.NORMAL)
    assert [tokens.use(0.0, Priority.NORMAL) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("burst", "reserve", "kept"),
    [(60, 0.6, (0, 12, 36)), (60, 0.3, (0, 6, 18)), (10, 0.3, (0, 1, 3)), (1, 0.9, (0, 0, 0)), (20, 0.0, (0, 0, 0))],
)
def test_orders_leave_a_third_of_the_reserve_alone_and_the_rest_all_of_it(
    burst: int, reserve: float, kept: tuple[int, int, int]
) -> None:
    limit = RateLimit(calls=200, per_seconds=60, burst=burst, reserve=reserve)

    assert tuple(round(limit.kept_seconds(one) / limit.interval_seconds) for one in Priority) == kept
