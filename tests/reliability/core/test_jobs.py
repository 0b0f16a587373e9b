"""What is recorded of a job's error can be kept, whatever a broker wrote."""

from reliability.core.jobs import JobError


def test_an_error_keeps_its_words_and_details_and_loses_what_no_database_keeps() -> None:
    error = JobError("BROKER_SERVER_ERROR", "bad\x00 reply", {"body": "half \ud800 a pair", "status": 500})

    assert error == JobError("BROKER_SERVER_ERROR", "bad\ufffd reply", {"body": "half \ufffd a pair", "status": 500})
    assert (error.code, error.message) == ("BROKER_SERVER_ERROR", "bad\ufffd reply")
    assert error.detail == {"body": "half \ufffd a pair", "status": 500}
