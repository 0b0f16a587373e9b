"""A ring is heard at once, by one of those who wait; what is not heard costs a look."""

import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from uuid import uuid4

import pytest
import redis

from reliability import dispatch
from reliability.conf import get_conf
from reliability.dispatch import Courier, Ringer, bell_key
from reliability.services.jobs.bell import Bell

_LONG = 30.0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _LONG
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def lane() -> str:
    return f"lane-{uuid4().hex}"


@pytest.fixture
def kept(lane: str) -> Iterator[Callable[[], int]]:
    """How many rings of the lane wait for somebody."""
    client = redis.Redis.from_url(get_conf().redis_url)
    yield lambda: client.llen(bell_key(lane))
    client.close()


@pytest.fixture
def listen(lane: str) -> Iterator[Callable[[], tuple[Bell, "SimpleQueue[str]"]]]:
    """Make bells of the lane, each with what it heard."""
    made: list[Bell] = []

    def start() -> tuple[Bell, SimpleQueue[str]]:
        heard: SimpleQueue[str] = SimpleQueue()
        made.append(Bell(get_conf().redis_url, [lane], heard.put))
        return made[-1], heard

    yield start
    for bell in made:
        bell.stop()


def test_each_ring_is_heard_by_one_of_those_who_wait(lane: str, listen: Callable, kept: Callable[[], int]) -> None:
    heard = [listen()[1] for _ in range(3)]
    for number in range(1, 7):
        Ringer().ring(lane)
        wait_for(lambda number=number: sum(queue.qsize() for queue in heard) == number)
    assert kept() == 0


def test_a_ring_nobody_waits_for_is_kept_once(lane: str, listen: Callable, kept: Callable[[], int]) -> None:
    for _ in range(5):
        Ringer().ring(lane)
    assert kept() == 1

    bell, heard = listen()
    assert heard.get(timeout=_LONG) == lane
    wait_for(lambda: bell.hears)
    assert (heard.qsize(), kept()) == (0, 0)


def test_a_bell_that_stopped_passes_a_late_ring_on(lane: str, listen: Callable) -> None:
    leaving, missed = listen()
    wait_for(lambda: leaving.hears)
    leaving.stop()
    Ringer().ring(lane)

    assert listen()[1].get(timeout=_LONG) == lane
    assert missed.qsize() == 0


def test_a_bell_without_redis_says_that_it_hears_nothing(lane: str) -> None:
    heard: SimpleQueue[str] = SimpleQueue()
    nowhere = [Bell("", [lane], heard.put), Bell("redis://127.0.0.1:9", [lane], heard.put)]
    Ringer().ring(lane)
    with pytest.raises(Empty):
        heard.get(timeout=0.5)
    assert not any(bell.hears for bell in nowhere)
    for bell in nowhere:
        bell.stop()


# -- couriers --------------------------------------------------------------------------------


def test_many_requests_for_a_lane_become_few_deliveries_and_the_last_one_counts() -> None:
    delivered: SimpleQueue[str] = SimpleQueue()
    courier = Courier("test", delivered.put, spacing=0.2)
    for _ in range(100):
        courier.request("a")
    courier.request("b")
    assert {delivered.get(timeout=_LONG), delivered.get(timeout=_LONG)} == {"a", "b"}
    courier.request("a")
    assert delivered.get(timeout=_LONG) == "a"


def test_a_courier_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_FAILURE_PAUSE_SECONDS", 0.0)
    delivered: SimpleQueue[str] = SimpleQueue()

    def deliver(lane: str) -> None:
        delivered.put(lane)
        if lane == "broken":
            raise ConnectionError("as planned")

    courier = Courier("test", deliver, spacing=0.0)
    courier.request("broken")
    assert delivered.get(timeout=_LONG) == "broken"
    courier.request("well")
    assert delivered.get(timeout=_LONG) == "well"


def test_an_urgent_lane_does_not_wait_behind_one_that_rests() -> None:
    delivered: SimpleQueue[str] = SimpleQueue()
    courier = Courier("test", delivered.put, spacing=3600.0)
    courier.request("a")
    assert delivered.get(timeout=_LONG) == "a"
    courier.request("a")
    courier.request("b")
    assert delivered.get(timeout=_LONG) == "b"
