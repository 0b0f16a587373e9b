"""One user may ask so often; reads leave room for orders, and nobody else notices."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.api import throttling
from reliability.api.throttling import Buckets, limit_for
from reliability.conf import get_conf
from reliability.core.rate_limit import Priority
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send

VIEW = ("brokers.view_order", "brokers.submit_order")


@pytest.fixture
def ten_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still, so that nothing comes back meanwhile."""
    conf = replace(get_conf(), requests_per_second=10)
    monkeypatch.setattr(throttling, "get_conf", lambda: conf)
    monkeypatch.setattr(throttling, "monotonic", lambda: 1000.0)
    throttling.buckets.forget()


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


@given(
    st.integers(1, 300),
    st.lists(st.tuples(st.floats(0, 0.2), st.sampled_from(list(Priority))), min_size=1, max_size=300),
)
def test_never_more_than_the_limit_and_one_burst(per_second: int, asked: list[tuple[float, Priority]]) -> None:
    buckets, limit, now, taken = Buckets(), limit_for(per_second), 0.0, []
    for gap, priority in asked:
        now += gap
        if not buckets.take(1, limit, now, priority):
            taken.append(now)

    for start in taken:
        assert sum(start <= at < start + 1 for at in taken) <= 2 * per_second


def test_the_longest_unused_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "_MOST_USERS", 2)
    buckets, limit = Buckets(), limit_for(1)
    for user in (1, 2, 3):
        assert not buckets.take(user, limit, 0.0, Priority.CRITICAL)

    assert not buckets.take(1, limit, 0.0, Priority.CRITICAL)
    assert buckets.take(3, limit, 0.0, Priority.CRITICAL)
