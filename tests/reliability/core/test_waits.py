"""The wait that another side names: in headers, as a date, as a moment of a reset, or in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.waits import WAIT_LIMIT_SECONDS, named_wait

SENT = "Mon, 02 Mar 2026 14:30:00 GMT"
EPOCH = 1_772_461_800  # SENT in seconds since 1970


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({"Retry-After": "7"}, "", 7.0),
        ({"retry-after": " 1.5 "}, "", 1.5),
        ({"Retry-After": "0"}, "wait 9 s", 0.0),
        ({"Retry-After": "Mon, 02 Mar 2026 14:30:30 GMT", "Date": SENT}, "", 30.0),
        ({"Retry-After": "Mon, 02 Mar 2026 14:30:30 -0000", "Date": SENT}, "", 30.0),
        ({"Retry-After": "Mon, 02 Mar 2026 15:30:30 +0100", "Date": SENT}, "", 30.0),
        ({"Retry-After": "Mon, 02 Mar 2026 14:29:00 GMT", "Date": SENT}, "", 0.0),
        ({"Retry-After": "Mon, 02 Mar 2026 14:30:30 GMT"}, "", None),
        ({"Retry-After": "soon"}, "", None),
        ({"Retry-After": "999999999"}, "", WAIT_LIMIT_SECONDS),
        ({"X-RateLimit-Reset": str(EPOCH + 12), "Date": SENT}, "", 12.0),
        ({"X-RateLimit-Reset": f"{EPOCH + 12}000", "Date": SENT}, "", 12.0),
        ({"X-RateLimit-Reset": f"{EPOCH + 12}.5", "Date": SENT}, "", 12.5),
        ({"X-RateLimit-Reset": str(EPOCH + 12)}, "", None),
        ({"X-RateLimit-Reset": " 25 "}, "", 25.0),
        ({"X-RateLimit-Reset": "later"}, "", None),
        ({"Retry-After": "3", "X-RateLimit-Reset": "25"}, "wait 9 s", 3.0),
        ({"X-RateLimit-Reset": "25"}, "wait 9 s", 25.0),
        ({}, "too many requests, retry after 4 seconds", 4.0),
        ({}, 'retry_after": 2.5', 2.5),
        ({}, "try again in 2 minutes", 120.0),
        ({}, "please wait 1 m", 60.0),
        ({}, "retry in 250 ms", 0.25),
        ({}, "retry in 250 milliseconds", 0.25),
        ({}, "please wait", None),
        ({}, "", None),
        ({"Date": SENT}, "", None),
        ({"Date": "never", "Retry-After": SENT}, "", None),
    ],
)
def test_what_is_named(headers: dict[str, str], text: str, seconds: float | None) -> None:
    assert named_wait(headers, text) == seconds


@given(st.dictionaries(st.sampled_from(["Retry-After", "X-RateLimit-Reset", "Date"]), st.text()), st.text())
def test_whatever_is_there_names_a_wait_within_a_day_or_none(headers: dict[str, str], text: str) -> None:
    wait = named_wait(headers, text)

    assert wait is None or 0.0 <= wait <= WAIT_LIMIT_SECONDS
