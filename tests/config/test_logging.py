"""Log lines say what they are about, and keep secrets to themselves."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator

import pytest

from config.logging import logging_settings
from reliability.core.correlation import correlated
from reliability.core.jobs import ClaimedJob
from reliability.core.work_context import set_work
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged, as production writes it."""
    written = io.StringIO()
    settings = logging_settings("INFO", as_json=True)
    formatter = logging.config.DictConfigurator(settings).configure_formatter(settings["formatters"]["structured"])
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    logger = logging.getLogger("tests.lines")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield written
    logger.removeHandler(handler)
    set_work({})


def logged(lines: io.StringIO) -> dict[str, object]:
    (line,) = lines.getvalue().splitlines()
    return dict(json.loads(line))


def test_a_line_says_which_job_and_request_it_is_about(lines):
    job = ClaimedJob(7, "orders.submit", "orders", None, {}, 2, 6, 0, 0, 3, "c-1", False, 0.0, 10.0)
    with correlated("c-1"):
        set_work(job.log_facts)
        logging.getLogger("tests.lines").info("sent", extra={"broker": "sim-a"})

    line = logged(lines)
    assert (line["event"], line["correlation_id"], line["job"], line["job_kind"]) == ("sent", "c-1", 7, "orders.submit")
    assert (line["lane"], line["attempt"], line["broker"], line["level"]) == ("orders", 2, "sim-a", "info")
    assert str(line["timestamp"]).endswith("Z")


def test_no_secret_reaches_a_line_also_not_in_an_exception(lines):
    try:
        raise ConnectionError("redis://:hunter2hunter2@127.0.0.1 is away")
    except ConnectionError:
        logging.getLogger("tests.lines").exception(
            "failed with Bearer abcdefghijkl", extra={"api_secret": "swordfish", "detail": {"password": "swordfish"}}
        )

    text = lines.getvalue()
    assert "hunter2" not in text
    assert "abcdefghijkl" not in text
    assert "swordfish" not in text
    assert "ConnectionError" in text


@pytest.mark.django_db
def test_the_lines_of_a_request_carry_its_correlation_id(lines, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "reliability.api.views.list_lanes", lambda: seen.append(logging.getLogger("tests.lines").info("asked")) or []
    )
    client_of(make_user("reliability.view_lane")).get("/api/v1/lanes", headers={"X-Correlation-ID": "desk-7"})

    assert logged(lines)["correlation_id"] == "desk-7"
