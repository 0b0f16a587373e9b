"""One user may ask so often, whichever web processes answer; reads leave room for orders, and nobody else notices."""

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.api import throttling
from reliability.api.throttling import UserLimits, limit_for
from reliability.conf import get_conf
from reliability.core.rate_limit import Priority
from reliability.services.limits.store import LimitStore
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send

VIEW = ("brokers.view_order", "brokers.submit_order")
_users = count(1_000_000)


class CountingStore(LimitStore):
    """Counts its trips."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.trips = 0

    def run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> list[int] | None:
        self.trips += 1
        return super().run(script, keys, args)


@pytest.fixture
def stores() -> Iterator[list[CountingStore]]:
    """The ways of three web processes to Redis."""
    found = [CountingStore(get_conf().redis_url) for _ in range(3)]
    yield found
    for one in found:
        one.close()


def alone(clock: Any = lambda: 1000.0) -> UserLimits:
    """Return the limits of a process that has no Redis."""
    store = LimitStore("")
    return UserLimits(lambda: store, clock)


@pytest.fixture
def ten_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still, so that nothing comes back meanwhile."""
    conf = replace(get_conf(), requests_per_second=10)
    monkeypatch.setattr(throttling, "get_conf", lambda: conf)
    monkeypatch.setattr(throttling, "limits", alone())


@pytest.mark.django_db
def test_who_reads_too_much_waits_and_still_sends_orders(ten_a_second: None) -> None:
    ann, bob = client_of(make_user(*VIEW)), client_of(make_user(*VIEW))

    answers = [ann.get("/api/v1/orders") for _ in range(200)]

    codes = [answer.status_code for answer in answers]
    assert codes == [200] * 7 + [429] * 193
    require_error(answers[-1], 429, "RATE_LIMIT_API")
    assert int(answers[-1]["Retry-After"]) >= 1
    sent: Any = [send(ann, "POST", "/api/v1/orders", {}).status_code for _ in range(4)]
    assert sent == [400, 400, 400, 429]  # three are left to what is sent, which here is no good order
    assert bob.get("/api/v1/orders").status_code == 200


def test_the_limit_is_one_over_all_processes(stores: list[CountingStore]) -> None:
    processes = [UserLimits(lambda store=store: store) for store in stores]  # type: ignore[misc]
    user, per_second, began = next(_users), 50, time.monotonic()

    granted = [sum(not one.take(user, per_second, Priority.CRITICAL) for _ in range(100)) for one in processes]

    came_back = (time.monotonic() - began) * per_second
    assert sum(granted) <= per_second + came_back + 1, "three processes by themselves grant three times as much"
    assert granted[0] >= per_second
    assert not processes[2].take(next(_users), per_second, Priority.CRITICAL), "another user notices nothing"


def test_most_requests_need_no_trip(stores: list[CountingStore]) -> None:
    clock = time.monotonic()
    limits, user = UserLimits(lambda: stores[0], lambda: clock), next(_users)

    assert [limits.take(user, 1000, Priority.CRITICAL) for _ in range(500)] == [0.0] * 500

    assert 0 < stores[0].trips <= 20


def test_nobody_is_refused_because_redis_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    store = CountingStore(f"redis://127.0.0.1:{port}/0")
    try:
        limits = UserLimits(lambda: store, lambda: 1000.0)
        granted = [not limits.take(1, 100, Priority.CRITICAL) for _ in range(150)]
    finally:
        store.close()

    assert granted == [True] * 100 + [False] * 50
    assert store.is_away
    assert store.errors >= 1


@given(
    st.integers(1, 300),
    st.lists(st.tuples(st.floats(0, 0.2), st.sampled_from(list(Priority))), min_size=1, max_size=300),
)
def test_never_more_than_the_limit_and_one_burst(per_second: int, asked: list[tuple[float, Priority]]) -> None:
    now, taken = 0.0, []
    limits = alone(lambda: now)
    for gap, priority in asked:
        now += gap
        if not limits.take(1, per_second, priority):
            taken.append(now)

    for start in taken:
        assert sum(start <= at < start + 1 for at in taken) <= limit_for(per_second).calls


def test_the_longest_unused_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "_MOST_USERS", 2)
    limits = alone()
    for user in (1, 2, 3):
        assert not limits.take(user, 1, Priority.CRITICAL)

    assert not limits.take(1, 1, Priority.CRITICAL)
    assert limits.take(3, 1, Priority.CRITICAL)
