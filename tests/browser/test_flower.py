"""Flower behind the operator screen's own login: a real Flower, opened in a browser from a lane."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from config.stack.launch import Account, child_setup
from config.stack.ports import take_block
from reliability.conf import get_conf
from reliability.services.flower import may_read
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)
_LOGIN = "stanchion:between the two alone"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A Flower of this test alone, which asks for a login that no person knows."""
    ports = take_block()
    argv = [sys.executable, "-m", "celery", "-A", "config.celery", "flower", "--url-prefix=flower"]
    argv += ["--address=127.0.0.1", f"--port={ports.base}"]
    environment = {**os.environ, "FLOWER_BASIC_AUTH": _LOGIN}
    setup = child_setup(Account.SAME, 9)
    child = subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL, preexec_fn=setup)
    url = f"http://127.0.0.1:{ports.base}"
    try:
        deadline = time.monotonic() + 120
        while not _answers(f"{url}/flower/healthcheck"):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        child.kill()
        child.wait()
        ports.release()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def with_flower(settings: Any, address: str) -> Iterator[str]:
    settings.RELIABILITY = {**settings.RELIABILITY, "flower_url": address, "flower_login": _LOGIN}
    get_conf.cache_clear()
    yield address
    get_conf.cache_clear()


def test_flower_is_opened_from_a_lane_and_shows_its_queue(with_flower: str, screen: Any, desk: Any) -> None:
    screen.reload()
    screen.get_by_role("link", name="Queue orders in Flower").click()
    screen.wait_for_url(desk["url"] + "/flower/broker#orders")
    assert "orders" in screen.locator("#queue-table").inner_text()
    for name in ("Workers", "Tasks"):
        screen.get_by_role("link", name=name, exact=True).click()
        screen.locator(".dataTables_info").wait_for()
    screen.get_by_text("No tasks").first.wait_for()


def test_flower_asks_nobody_else(with_flower: str, client: Client) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{with_flower}/flower/broker", timeout=30)
    assert refused.value.code == 401
    assert client.get("/flower/broker").status_code == 302

    client.force_login(make_user())
    assert client.get("/flower/broker").status_code == 403
    client.force_login(make_user("reliability.view_job"))
    assert b"queue-table" in client.get("/flower/broker").content
    assert client.post("/flower/api/worker/shutdown/orders@desk").status_code == 403


def test_what_changes_anything_is_not_handed_on() -> None:
    for path in ("api/worker/shutdown/w", "api/task/revoke/1", "api/task/apply/x", "login", "logout", "metrics"):
        assert not may_read("POST", path)
        assert not may_read("GET", path)
    for path in ("", "workers", "worker/general@x", "tasks", "task/1", "broker", "static/js/flower.js"):
        assert may_read("GET", path)
        assert not may_read("POST", path)
    assert may_read("POST", "tasks/datatable")
    assert not may_read("GET", "static/../api/worker/shutdown/w")


def test_without_flower_the_page_says_so(settings: Any, client: Client) -> None:
    client.force_login(make_user("reliability.view_job"))
    for url, status in (("", 404), ("http://127.0.0.1:1", 502)):
        settings.RELIABILITY = {**settings.RELIABILITY, "flower_url": url}
        get_conf.cache_clear()
        assert client.get("/flower/broker").status_code == status
    get_conf.cache_clear()
