"""The id that ties together what one request caused."""

import contextvars
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.correlation import choose_correlation_id, correlated, current_correlation_id, set_correlation_id

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


@given(st.text())
def test_whatever_a_caller_sends_the_chosen_id_is_short_and_plain(received: str) -> None:
    assert PLAIN.fullmatch(choose_correlation_id(received))


@given(st.from_regex(PLAIN, fullmatch=True))
def test_a_plain_id_is_kept(received: str) -> None:
    assert choose_correlation_id(received) == received


@pytest.mark.parametrize("received", [None, "", " ", "a b", "a\n", "\r\nSet-Cookie: x", "x" * 65, "-a", "é"])
def test_an_unusable_id_is_replaced_by_a_new_one(received: str | None) -> None:
    assert choose_correlation_id(received) not in ("", received)
    assert choose_correlation_id(received) != choose_correlation_id(received)


def test_the_id_ends_with_its_block_even_when_the_block_fails() -> None:
    with correlated("outer"):
        with pytest.raises(ZeroDivisionError), correlated("inner"):
            raise ZeroDivisionError
        assert current_correlation_id() == "outer"
    assert current_correlation_id() == ""


def test_threads_do_not_see_each_others_ids() -> None:
    seen: list[str] = []
    with correlated("here"):
        thread = threading.Thread(target=lambda: seen.append(current_correlation_id()))
        thread.start()
        thread.join()
    assert seen == [""]


def test_an_id_that_was_set_stays_for_the_rest_of_its_context_alone() -> None:
    def rest_of_a_task() -> tuple[str, str]:
        set_correlation_id("task")
        with correlated("inner"):
            inside = current_correlation_id()
        return inside, current_correlation_id()

    assert contextvars.copy_context().run(rest_of_a_task) == ("inner", "task")
    assert current_correlation_id() == ""
