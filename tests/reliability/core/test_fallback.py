"""A fallback says where its answer comes from and how old it is."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.fallback import AnswerSource, CachedAnswer, FailedCall, OtherFunction, QueueForLater

DOWN = ConnectionError("down")


def failed(now: float, *args: Any, **kwargs: Any) -> FailedCall:
    return FailedCall("broker", args, kwargs, DOWN, now)


@given(st.floats(0, 1000), st.floats(0, 200))
def test_a_cached_answer_is_stale_and_tells_its_age_until_it_is_too_old(stored_at: float, passed: float) -> None:
    cache = CachedAnswer(max_age=timedelta(seconds=100))
    cache.remember(("AAPL",), {}, 7, stored_at)
    call = failed(stored_at + passed, "AAPL")
    age = timedelta(seconds=call.now - stored_at)

    if age > timedelta(seconds=100):
        with pytest.raises(ConnectionError):
            cache.answer(call)
    else:
        answer = cache.answer(call)
        assert (answer.value, answer.stale, answer.age, answer.source) == (7, True, age, AnswerSource.CACHE)


def test_other_arguments_have_no_answer() -> None:
    cache = CachedAnswer(max_age=timedelta(minutes=1))
    cache.remember(("AAPL",), {"depth": 1}, 7, 0.0)

    assert cache.answer(failed(1.0, "AAPL", depth=1)).value == 7
    with pytest.raises(ConnectionError, match="down"):
        cache.answer(failed(1.0, "AAPL", depth=2))


def test_an_older_value_of_a_slower_thread_does_not_replace_a_newer_one() -> None:
    cache = CachedAnswer(max_age=timedelta(minutes=1))
    cache.remember((), {}, "new", 5.0)
    cache.remember((), {}, "old", 4.0)

    assert cache.answer(failed(6.0)).value == "new"


def test_of_two_values_of_one_instant_the_later_one_stays() -> None:
    cache = CachedAnswer(max_age=timedelta(seconds=1))
    cache.remember((), {}, "first", 5.0)
    cache.remember((), {}, "second", 5.0)

    assert cache.answer(failed(6.0)).value == "second", "as old as allowed is not too old"


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 10))
def test_a_cache_keeps_no_more_than_its_size_and_the_newest_value(keys: list[int], size: int) -> None:
    cache = CachedAnswer(max_age=timedelta(minutes=1), size=size)
    for moment, key in enumerate(keys):
        cache.remember((key,), {}, moment, float(moment))
        assert len(cache) <= size
        assert cache.answer(failed(float(moment), key)).value == moment


def test_threads_may_share_a_cache() -> None:
    cache = CachedAnswer(max_age=timedelta(minutes=1), size=8)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        for number in range(500):
            key = (seed + number) % 16
            cache.remember((key,), {}, key, 1.0)
            try:
                if cache.answer(failed(1.0, key)).value != key:
                    wrong.append(key)
            except ConnectionError:
                pass  # another thread's values pushed it out

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert len(cache) <= 8


def test_a_queued_call_names_the_work_that_will_do_it() -> None:
    queued: list[FailedCall] = []

    def enqueue(call: FailedCall) -> str:
        queued.append(call)
        return "job 7"

    answer = QueueForLater(enqueue).answer(failed(0.0, "AAPL", quantity=3))

    assert (answer.value, answer.stale, answer.source) == ("job 7", True, AnswerSource.QUEUED)
    assert [(call.args, call.kwargs) for call in queued] == [(("AAPL",), {"quantity": 3})]


def test_another_function_gets_the_same_arguments() -> None:
    answer = OtherFunction(lambda symbol, depth: f"{symbol} {depth}").answer(failed(0.0, "AAPL", depth=2))

    assert (answer.value, answer.stale, answer.source) == ("AAPL 2", True, AnswerSource.ALTERNATIVE)


@pytest.mark.parametrize("values", [{"max_age": timedelta(0)}, {"max_age": timedelta(1), "size": 0}])
def test_a_cache_without_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        CachedAnswer(**values)
