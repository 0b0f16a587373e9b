"""What tells of the health answers while PostgreSQL hangs or is away, also to whom only PostgreSQL knows."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from knox.models import AuthToken

from tests.factories import make_user
from tests.silent_proxy import SilentProxy

_PATIENCE_SECONDS = 60  # for a busy machine: without the answers a call would wait for as long as it is silent


@pytest.fixture
def proxy(transactional_db: Any) -> Iterator[SilentProxy]:
    """New connections of this process go through a proxy; those of the test itself do not."""
    settings = connection.settings_dict
    kept = {name: settings[name] for name in ("HOST", "PORT")}
    found = SilentProxy(lambda: _to_database(kept["HOST"], int(kept["PORT"] or 5432)))
    settings.update({"HOST": "127.0.0.1", "PORT": str(found.port)})
    yield found
    settings.update(kept)
    found.close()


def _to_database(host: str, port: int) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    way = socket.socket(socket.AF_UNIX)
    way.connect(str(Path(host) / f".s.PGSQL.{port}"))
    return way


@pytest.mark.parametrize("fault", ["silent", "away"])
def test_health_answers_while_the_database_does_not(proxy: SilentProxy, fault: str) -> None:
    user = make_user("reliability.view_heartbeat")
    _, token = AuthToken.objects.create(user)
    session = Client()
    session.force_login(user)
    cookies = session.cookies

    def ask(path: str) -> tuple[int, dict[str, Any]]:
        client = Client(headers={"Authorization": f"Bearer {token}"})
        if "?session" in path:
            client = Client()
            client.cookies = cookies
        answer = client.get(path)
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(1, initializer=connections.close_all) as thread:
        before = thread.submit(ask, "/health/deep").result(_PATIENCE_SECONDS)
        assert {one["name"] for one in before[1]["components"]} > {"database", "redis", "workers"}
        if fault == "silent":
            proxy.silence()
        else:
            proxy.close()

        try:
            answers = {
                path: thread.submit(ask, path).result(_PATIENCE_SECONDS)
                for path in ("/health/ready", "/health/deep", "/health/deep?session", "/health/live")
            }
        finally:
            proxy.close()

    assert {path: status for path, (status, _) in answers.items()} == {
        "/health/ready": 503,
        "/health/deep": 503,
        "/health/deep?session": 503,
        "/health/live": 200,
    }
    (database,) = answers["/health/deep"][1]["components"]
    assert (database["name"], database["status"], database["message"]) == ("database", "down", "")
    assert answers["/health/ready"][1]["checks"]["database"] is False
