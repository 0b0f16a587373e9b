"""Limits that processes share: one Redis, many processes, and none at all."""

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reliability.core.budget import UNIT, BudgetPolicy
from reliability.core.bulkhead import BulkheadLimit
from reliability.core.rate_limit import Priority, RateLimit
from reliability.services.limits.budget import SharedBudget
from reliability.services.limits.bulkhead import Bulkhead, SharedPlaces
from reliability.services.limits.rate import RateLimiter
from reliability.services.limits.store import LimitStore
from tests.reliability.services.guarding.support import Clock, OwnValkey, await_true, own_valkey

CRITICAL, NORMAL = Priority.CRITICAL, Priority.NORMAL
SLOW = RateLimit(calls=30, per_seconds=600, burst=20, reserve=0.3)  # nothing comes back during a test
NOBODY = LimitStore("")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnValkey]:
    with own_valkey(tmp_path_factory.mktemp("limits")) as server:
        yield server


@pytest.fixture
def store(valkey: OwnValkey) -> Iterator[LimitStore]:
    one = LimitStore(valkey.url)
    yield one
    one.close()


def other_store(valkey: OwnValkey) -> LimitStore:
    return LimitStore(valkey.url)


# -- rate ---------------------------------------------------------------------------------


def take_all(limiter: RateLimiter, priority: Priority, most: int = 100) -> int:
    for taken in range(most):
        if limiter.try_acquire(priority) > 0:
            return taken
    return most


def test_two_processes_together_get_one_limit(valkey: OwnValkey, store: LimitStore) -> None:
    mine = RateLimiter("together", SLOW, store, 2)
    other = other_store(valkey)
    theirs = RateLimiter("together", SLOW, other, 2)

    taken = [limiter.try_acquire(CRITICAL) == 0 for _ in range(25) for limiter in (mine, theirs)]

    assert sum(taken) == SLOW.burst
    other.close()


def test_other_work_stops_at_the_reserve_and_orders_go_on(store: LimitStore) -> None:
    limiter = RateLimiter("reserve", SLOW, store, 1)

    assert take_all(limiter, NORMAL) == 14
    assert take_all(limiter, CRITICAL) == 6


def test_orders_leave_the_last_tokens_to_what_settles_and_ends_them(store: LimitStore) -> None:
    limiter = RateLimiter("s", RateLimit(200, 60, burst=20, reserve=0.3), store, processes=1)

    assert take_all(limiter, Priority.HIGH) == 18
    assert take_all(limiter, CRITICAL) == 2


def test_a_full_limiter_names_the_wait_and_a_look_takes_nothing(store: LimitStore) -> None:
    limiter = RateLimiter("look", SLOW, store, 1)
    assert limiter.wait_seconds(NORMAL) == 0
    take_all(limiter, CRITICAL)

    wait = limiter.try_acquire(CRITICAL)

    assert 0 < wait <= SLOW.interval_seconds
    assert 0 < limiter.wait_seconds(CRITICAL) <= wait


def test_a_fast_account_costs_far_fewer_trips_than_calls(store: LimitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RateLimiter("fast", RateLimit(calls=1_000_000, per_seconds=10), store, 1)
    trips = 0
    run = store.run

    def counted(*args: object) -> list[int] | None:
        nonlocal trips
        trips += 1
        return run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "run", counted)
    assert take_all(limiter, CRITICAL, 2000) == 2000
    assert trips < 200


def test_a_busy_account_is_asked_for_in_batches_even_when_its_limit_is_used_up(
    store: LimitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = RateLimiter("busy", RateLimit(calls=5000, per_seconds=1), store, 1)
    trips = 0
    run = store.run

    def counted(*args: object) -> list[int] | None:
        nonlocal trips
        trips += 1
        return run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "run", counted)
    granted = 0
    while granted < 2500:
        wait = limiter.try_acquire(CRITICAL)
        granted += wait == 0
        if wait:
            time.sleep(wait)

    assert trips < granted / 5


def test_a_pause_reaches_the_tokens_other_processes_hold(valkey: OwnValkey, store: LimitStore) -> None:
    limit = RateLimit(calls=100_000, per_seconds=60)
    mine = RateLimiter("pause", limit, store, 2)
    other = other_store(valkey)
    theirs = RateLimiter("pause", limit, other, 2)
    assert theirs.try_acquire(NORMAL) == 0

    def is_heard() -> bool:
        mine.penalize(30)  # each call that is throttled says so
        return theirs.wait_seconds(CRITICAL) > 0

    await_true(is_heard)
    assert 25 < theirs.try_acquire(CRITICAL) <= 30
    other.close()


def test_a_process_that_heard_no_pause_is_told_by_redis(valkey: OwnValkey, store: LimitStore) -> None:
    RateLimiter("told", SLOW, store, 2).penalize(30)
    other = other_store(valkey)
    late = RateLimiter("told", SLOW, other, 2)

    assert 25 < late.try_acquire(CRITICAL) <= 30
    assert late.wait_seconds(NORMAL) > 25
    other.close()


def test_a_shorter_pause_does_not_end_a_longer_one(store: LimitStore) -> None:
    limiter = RateLimiter("longer", SLOW, store, 1)
    limiter.penalize(60)
    limiter.penalize(1)

    assert limiter.wait_seconds(CRITICAL) > 50


def test_threads_of_one_process_never_get_more_than_the_limit(store: LimitStore) -> None:
    limiter = RateLimiter("threads", RateLimit(calls=100, per_seconds=600, burst=90), store, 1)
    taken = [0] * 8

    def work(number: int) -> None:
        taken[number] = take_all(limiter, CRITICAL)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(taken) == 90


def test_coroutines_share_one_trip(store: LimitStore) -> None:
    limiter = RateLimiter("coroutines", RateLimit(calls=100, per_seconds=600, burst=90), store, 1)

    async def ask() -> list[float]:
        return await asyncio.gather(*(limiter.try_acquire_async(CRITICAL) for _ in range(150)))

    assert sum(wait == 0 for wait in asyncio.run(ask())) == 90


def test_without_redis_each_process_keeps_its_share() -> None:
    clock = Clock()
    limiters = [RateLimiter("alone", RateLimit(calls=200, per_seconds=60), NOBODY, 4, clock) for _ in range(4)]
    calls: list[float] = []

    for _ in range(1600):
        clock.now += 0.125
        calls += [clock.now for limiter in limiters if limiter.try_acquire(CRITICAL) == 0]

    busiest = max(sum(start <= call < start + 60 for call in calls) for start in calls[::20])
    assert 100 < busiest <= 200


def test_a_pause_holds_without_redis() -> None:
    clock = Clock()
    limiter = RateLimiter("alone", SLOW, NOBODY, 1, clock)
    limiter.penalize(10)

    assert limiter.try_acquire(CRITICAL) == 10
    clock.now += 10
    assert limiter.try_acquire(CRITICAL) == 0


def test_a_forked_child_does_not_use_the_tokens_of_its_parent(store: LimitStore, valkey: OwnValkey) -> None:
    limit = RateLimit(calls=400, per_seconds=600, burst=300)
    limiter = RateLimiter("forked", limit, store, 2)
    before = take_all(limiter, CRITICAL, 20)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    child = context.Process(target=lambda: answers.put(take_all(limiter, CRITICAL, 400)))
    child.start()
    in_child = answers.get(timeout=60)
    child.join()

    in_parent = take_all(limiter, CRITICAL, 400)
    assert before + in_child + in_parent <= limit.burst
    assert in_child > 200


# -- budget -------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=12))
def test_the_shared_budget_grants_what_the_pure_one_would(valkey: OwnValkey, steps: list[tuple[int, int]]) -> None:
    policy = BudgetPolicy(ttl_seconds=3600.0, floor_per_second=5 / 3600)
    store = LimitStore(valkey.url)
    name = f"model-{time.monotonic_ns()}"
    budget = SharedBudget(name, policy, store)
    balance = policy.floor_units
    for calls, cost in steps:
        for _ in range(calls):
            budget.deposit()
        balance += calls * policy.deposit_units
        affordable = 0 < cost * UNIT <= balance
        assert budget.try_spend(cost) is affordable
        balance -= cost * UNIT if affordable else 0
    store.close()


def test_calls_of_one_process_pay_for_retries_of_another(valkey: OwnValkey, store: LimitStore) -> None:
    policy = BudgetPolicy(floor_per_second=0.0, ttl_seconds=600.0)
    caller = SharedBudget("cluster", policy, store)
    other = other_store(valkey)
    retrier = SharedBudget("cluster", policy, other)
    for _ in range(50):
        caller.deposit()
    assert not retrier.try_spend(1)

    caller.flush()

    assert [retrier.try_spend(1) for _ in range(11)] == [True] * 10 + [False]
    other.close()


def test_counts_reach_redis_within_seconds_without_any_retry(valkey: OwnValkey, store: LimitStore) -> None:
    policy = BudgetPolicy(floor_per_second=0.0, ttl_seconds=600.0)
    caller = SharedBudget("flushed", policy, store)
    store.run("return {1}", [], [])  # the first trip starts the thread that flushes
    for _ in range(10):
        caller.deposit()
    other = other_store(valkey)
    retrier = SharedBudget("flushed", policy, other)

    await_true(lambda: retrier.try_spend(1))
    other.close()


def test_without_redis_retries_keep_within_the_calls_of_this_process() -> None:
    clock = Clock()
    budget = SharedBudget("alone", BudgetPolicy(floor_per_second=0.0), NOBODY, clock)
    for _ in range(20):
        budget.deposit()

    assert [budget.try_spend(1) for _ in range(5)] == [True] * 4 + [False]
    clock.now += 11
    assert not budget.try_spend(1)


def test_a_spending_can_ride_along_with_other_work(store: LimitStore) -> None:
    budget = SharedBudget("ride", BudgetPolicy(), store)

    reply = store.run(*budget.spend_command(2))

    assert budget.settle_spend(reply, 2) is True


# -- places -------------------------------------------------------------------------------


def test_places_of_one_process_are_handed_on_in_order_critical_first() -> None:
    bulkhead = Bulkhead("orders", BulkheadLimit(1, reserve=0.0))
    assert bulkhead.try_enter(NORMAL)
    entered: list[str] = []

    def wait(name: str, priority: Priority) -> None:
        if bulkhead.enter_within(priority, 60):
            entered.append(name)
            bulkhead.leave()

    threads = []
    for number, (name, priority) in enumerate((("report", NORMAL), ("order", CRITICAL), ("bars", NORMAL)), start=1):
        threads.append(threading.Thread(target=wait, args=(name, priority)))
        threads[-1].start()
        await_true(lambda expected=number: bulkhead._waiting == expected)
    bulkhead.leave()
    for thread in threads:
        thread.join()

    assert entered[0] == "order"
    assert sorted(entered[1:]) == ["bars", "report"]
    assert bulkhead.occupied == 0


KEPT = BulkheadLimit(10, kept=(("sending", 2), ("asking", 1)))
GROUPS = st.sampled_from([(CRITICAL, "sending"), (CRITICAL, "asking"), (NORMAL, ""), (CRITICAL, "")])


@settings(deadline=None)
@given(st.lists(st.tuples(GROUPS, st.booleans()), max_size=80))
def test_whatever_comes_and_goes_each_group_finds_the_places_that_are_kept_for_it(
    steps: list[tuple[tuple[Priority, str], bool]],
) -> None:
    bulkhead, inside = Bulkhead("kept", KEPT), {"sending": 0, "asking": 0, "": 0}
    for (priority, group), enters in steps:
        if enters:
            room = bulkhead.room(priority, group)
            assert bulkhead.try_enter(priority, group) == (room > 0) == (bulkhead.occupied > sum(inside.values()))
            inside[group] += bulkhead.occupied - sum(inside.values())
        elif inside[group]:
            bulkhead.leave(group)
            inside[group] -= 1
        assert bulkhead.occupied == sum(inside.values()) <= 10
        assert inside["sending"] >= 2 or bulkhead.has_room(CRITICAL, "sending")
        assert inside["asking"] >= 1 or bulkhead.has_room(CRITICAL, "asking")


def test_a_place_that_is_kept_is_handed_to_its_group_past_others_who_wait_longer() -> None:
    bulkhead = Bulkhead("kept", KEPT)
    while bulkhead.try_enter(CRITICAL, "sending"):
        pass
    assert bulkhead.try_enter(CRITICAL, "asking")

    async def scenario() -> None:
        order = asyncio.create_task(bulkhead.enter_within_async(CRITICAL, 60, "sending"))
        await asyncio.sleep(0)
        look_up = asyncio.create_task(bulkhead.enter_within_async(CRITICAL, 60, "asking"))
        await asyncio.sleep(0)
        bulkhead.leave("asking")
        assert await look_up
        assert not order.done()
        bulkhead.leave("sending")
        assert await order

    asyncio.run(scenario())
    assert bulkhead.occupied == 10


def test_places_of_all_processes_are_kept_too(store: LimitStore) -> None:
    places = SharedPlaces("kept", KEPT, store, 1, 30)
    orders = [place for _ in range(12) if (place := places.try_enter(CRITICAL, "sending")) is not None]
    assert len(orders) == 9
    look_up = places.try_enter(CRITICAL, "asking")
    assert look_up is not None
    assert places.try_enter(NORMAL) is None
    places.leave(look_up)
    assert places.try_enter(CRITICAL, "asking") is not None
    for place in orders:
        places.leave(place)
    assert sum(places.try_enter(CRITICAL, "asking") is not None for _ in range(12)) == 7


def test_a_wait_for_a_place_ends() -> None:
    bulkhead = Bulkhead("orders", BulkheadLimit(1))
    assert bulkhead.try_enter(NORMAL)

    assert not bulkhead.enter_within(NORMAL, 0.01)
    bulkhead.leave()
    assert bulkhead.try_enter(NORMAL), "who gave up waiting got no place"


def test_a_cancelled_coroutine_leaves_no_place_taken() -> None:
    bulkhead = Bulkhead("orders", BulkheadLimit(1))

    async def scenario() -> None:
        assert bulkhead.try_enter(NORMAL)
        waiting = asyncio.create_task(bulkhead.enter_within_async(NORMAL, 60))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        bulkhead.leave()  # the place is the waiter's now, and it is cancelled before it knows
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        late = asyncio.create_task(bulkhead.enter_within_async(NORMAL, 60))
        assert await late

    asyncio.run(scenario())
    assert bulkhead.occupied == 1


def test_threads_and_coroutines_never_overfill_a_bulkhead() -> None:
    bulkhead = Bulkhead("busy", BulkheadLimit(3, reserve=0.4))
    seen: list[int] = []

    def work() -> None:
        for _ in range(300):
            if bulkhead.enter_within(CRITICAL, 60):
                seen.append(bulkhead.occupied)
                bulkhead.leave()

    async def work_async() -> None:
        async def one() -> None:
            for _ in range(100):
                if await bulkhead.enter_within_async(NORMAL, 60):
                    seen.append(bulkhead.occupied)
                    await asyncio.sleep(0)
                    bulkhead.leave()

        await asyncio.gather(*(one() for _ in range(4)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    asyncio.run(work_async())
    for thread in threads:
        thread.join()

    assert max(seen) <= 3
    assert len(seen) == 1300
    assert bulkhead.occupied == 0


def test_places_are_shared_between_processes(valkey: OwnValkey, store: LimitStore) -> None:
    limit = BulkheadLimit(4, reserve=0.25)
    mine = SharedPlaces("shared", limit, store, 2, 30)
    other = other_store(valkey)
    theirs = SharedPlaces("shared", limit, other, 2, 30)

    taken = [places.try_enter(NORMAL) for _ in range(3) for places in (mine, theirs)]
    assert sum(place is not None for place in taken) == 3
    assert mine.try_enter(CRITICAL) is not None
    assert theirs.try_enter(CRITICAL) is None

    mine.leave(str(taken[0]))
    assert theirs.try_enter(CRITICAL) is not None
    other.close()


def test_the_places_of_a_process_that_died_come_back_with_their_leases(store: LimitStore) -> None:
    dead = SharedPlaces("died", BulkheadLimit(1), store, 1, 0.2)
    assert dead.try_enter(CRITICAL) is not None
    assert dead.try_enter(CRITICAL) is None

    await_true(lambda: dead.try_enter(CRITICAL) is not None)


def test_without_redis_each_process_has_its_share_of_the_places() -> None:
    places = SharedPlaces("alone", BulkheadLimit(8, reserve=0.0), NOBODY, 4, 30)

    taken = [places.try_enter(NORMAL) for _ in range(3)]

    assert [place is not None for place in taken] == [True, True, False]
    places.leave(str(taken[0]))
    assert places.try_enter(NORMAL) is not None


# -- Redis comes and goes -----------------------------------------------------------------


def test_nothing_raises_while_redis_is_dead_and_all_is_shared_again_after(tmp_path: Path) -> None:
    with own_valkey(tmp_path / "mortal") as server:
        store = LimitStore(server.url)
        limiter = RateLimiter("mortal", RateLimit(calls=4000, per_seconds=1), store, 2)
        budget = SharedBudget("mortal", BudgetPolicy(), store)
        places = SharedPlaces("mortal", BulkheadLimit(4), store, 2, 30)
        assert limiter.try_acquire(CRITICAL) == 0

        server.stop()
        limiter._tokens.drop()
        assert limiter.try_acquire(CRITICAL) == 0, "its own share serves"
        assert store.is_away
        assert budget.try_spend(1)
        place = places.try_enter(CRITICAL)
        assert place is not None
        limiter.penalize(0.0)
        errors = store.errors
        for _ in range(100):
            budget.try_spend(0)
        assert store.errors - errors < 50, "calls do not ask a server that is known to be away"

        server.start()
        await_true(lambda: not store.is_away)
        places.leave(place)
        assert store.run("return {7}", [], []) == [7]
        store.close()


@pytest.mark.prompt_store
def test_a_frozen_redis_delays_one_call_only(tmp_path: Path) -> None:
    with own_valkey(tmp_path / "frozen") as server:
        store = LimitStore(server.url)
        assert store.run("return {1}", [], []) == [1]
        server.freeze()
        try:
            assert store.run("return {1}", [], []) is None
            errors = store.errors
            assert [store.run("return {1}", [], []) for _ in range(50)] == [None] * 50
            assert store.errors - errors <= 20, "only the thread that waits for its return asks"
        finally:
            server.thaw()
        await_true(lambda: not store.is_away)
        store.close()
