"""What is recorded of a job's error can be kept, whatever a broker wrote."""

import pytest

from reliability.core.jobs import JobError, suspicion_of


def test_an_error_keeps_its_words_and_details_and_loses_what_no_database_keeps() -> None:
    error = JobError("BROKER_SERVER_ERROR", "bad\x00 reply", {"body": "half \ud800 a pair", "status": 500})

    assert error == JobError("BROKER_SERVER_ERROR", "bad\ufffd reply", {"body": "half \ufffd a pair", "status": 500})
    assert (error.code, error.message) == ("BROKER_SERVER_ERROR", "bad\ufffd reply")
    assert error.detail == {"body": "half \ufffd a pair", "status": 500}


@pytest.mark.parametrize(
    ("deaths", "together"), [(0, None), (1, None), (2, 16), (3, 4), (4, 1), (5, 1), (1_000, 1), (1_001, None)]
)
def test_suspects_run_together_in_fewer_and_fewer(deaths: int, together: int | None) -> None:
    suspicion = suspicion_of(deaths)
    assert (suspicion and suspicion.together) == together
