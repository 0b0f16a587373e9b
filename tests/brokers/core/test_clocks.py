"""What the date of an answer proves about another clock."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.core.clocks import proven_offset

SENT = datetime(2026, 1, 1, 12, 0, 0, 400_000, tzinfo=UTC)


def dated(instant: datetime) -> str:
    return format_datetime(instant.replace(microsecond=0), usegmt=True)


@given(offset=st.floats(-3600, 3600), there=st.floats(0, 30), back=st.floats(0, 30))
def test_no_more_is_proven_than_is_true(offset: float, there: float, back: float) -> None:
    real = timedelta(seconds=offset)
    written = SENT + timedelta(seconds=there)
    proven = proven_offset(dated(written + real), SENT, written + timedelta(seconds=back))

    assert proven is not None
    assert abs(proven) <= abs(real)
    assert abs(real - proven) <= timedelta(seconds=1 + there + back)
    assert not proven or (proven > timedelta(0)) == (real > timedelta(0))


@pytest.mark.parametrize("date", ["", "yesterday", "2026-01-01"])
def test_what_is_no_date_proves_nothing(date: str) -> None:
    assert proven_offset(date, SENT, SENT) is None
