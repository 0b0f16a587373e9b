"""What an installation is hardened with: JSON alone on the wire, headers, cookies, versions known to be mended."""

import importlib.metadata
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads
from packaging.version import Version

from config.celery import settings_for
from config.json_cache import JsonSerializer
from config.stack.valkey import APP_RIGHTS, APP_USER, USERS
from tests.factories import make_user

ROOT = Path(__file__).resolve().parents[2]
FLOOR = re.compile(r"^([a-z0-9-]+)>=([0-9.]+)  # (.+)$")
FLOORS = [FLOOR.fullmatch(line) for line in (ROOT / "requirements" / "floors.txt").read_text().splitlines()]


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


# -- JSON alone -------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "amqp://127.0.0.1//"])
@pytest.mark.parametrize("kind", ["application/x-python-serialize", "application/x-yaml", "application/x-msgpack"])
def test_a_message_of_another_kind_is_refused_before_it_is_read(url: str, kind: str, tmp_path: Path) -> None:
    values = settings_for(url)
    canary = tmp_path / "canary"
    accept = {f"application/{name}" for name in values["accept_content"]}

    with pytest.raises(ContentDisallowed):
        loads(pickle.dumps(Canary(canary)), kind, "binary", accept=accept)

    assert not canary.exists()
    pickle.loads(pickle.dumps(Canary(canary)))
    assert canary.exists(), "the canary would have told"
    written = {name: value for name, value in values.items() if name.endswith("_serializer")}
    assert set(written.values()) == {"json"}


def test_what_somebody_wrote_into_the_cache_is_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    client = cache._cache.get_client(write=True)
    client.set(cache.make_and_validate_key("planted"), pickle.dumps(Canary(canary)))

    assert cache.get("planted") is None
    assert not canary.exists()
    cache.set("kept", {"a": [1, "b", None]}, 5)
    cache.set("count", 1, 5)
    assert (cache.get("kept"), cache.incr("count"), cache.get("count")) == ({"a": [1, "b", None]}, 2, 2)
    assert isinstance(cache._cache._serializer, JsonSerializer)


def test_sessions_are_json() -> None:
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"


def test_nothing_of_ours_reads_pickles_or_yaml_of_any_kind() -> None:
    reading = re.compile(
        r"\b(pickle|marshal|shelve|dill|cloudpickle|jsonpickle)\b|yaml\.(unsafe_)?load\(|\beval\(|\bexec\("
    )
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for app in ("config", "reliability", "brokers", "reconciliation")
        for path in (ROOT / app).rglob("*.py")
        for line in path.read_text().splitlines()
        if reading.search(line) and not line.lstrip().startswith(("#", '"'))
    ]

    assert [line for line in found if re.search(r"^\S+: (import|from) (pickle|marshal|shelve)|loads?\(", line)] == []


# -- pages and answers ------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/", "/admin/", "/admin/login/", "/second-factor", "/api/v1/orders", "/no-such-page", "/api/none"]
)
def test_every_answer_is_hardened(path: str) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(make_user())

    headers = client.get(path).headers

    policy = headers["Content-Security-Policy"]
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ):
        assert part in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Server" not in headers
    assert "X-Powered-By" not in headers


@pytest.mark.django_db
def test_nothing_of_the_program_is_shown_to_whoever_asks_for_what_is_not_there() -> None:
    for path in ("/no-such-page", "/api/v1/none", "/.env", "/static/../config/settings.py", "/admin/%00"):
        answer = Client(raise_request_exception=False).get(path)
        assert answer.status_code in (302, 400, 404), path
        assert not re.search(r"Traceback|settings\.py|urlpatterns|DEBUG|site-packages", answer.content.decode())


# -- production -------------------------------------------------------------------------------


def test_a_production_environment_passes_the_check_of_the_framework() -> None:
    production = {"STANCHION_HTTPS": "1", "STANCHION_DEBUG": "0", "STANCHION_SECOND_FACTOR": "1"}
    read = """
import django; django.setup()
from django.conf import settings as s
cookies = s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY, s.SESSION_COOKIE_SAMESITE
print(*cookies, s.SECURE_SSL_REDIRECT)
from django.core.management import call_command
call_command("check", deploy=True, fail_level="WARNING")
from django.test import Client
client = Client(SERVER_NAME="127.0.0.1", raise_request_exception=False)
print([client.get(path).status_code for path in ("/health/live", "/metrics", "/", "/admin/login/", "/health")])
"""
    environment = {**os.environ, **production}
    environment.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)  # of tests with a browser, when they run in the same process
    done = subprocess.run([sys.executable, "-c", read], env=environment, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "True True True Lax True" in done.stdout
    assert "[200, 401, 301, 301, 301]" in done.stdout, "only what is asked for beside the proxy is not redirected"


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: floor[1] if floor else "unreadable")
def test_no_version_is_below_the_one_in_which_known_holes_are_mended(floor: "re.Match[str] | None") -> None:
    assert floor is not None, "write: name>=version  # what was mended"
    name, least = floor[1], Version(floor[2])
    for lock in ("run.lock", "dev.lock"):
        found = re.search(
            rf"^{re.escape(name)}(?:\[[^]]*\])?==([^\s;\\]+)", (ROOT / "requirements" / lock).read_text(), re.M
        )
        assert found is not None, f"{name} is not in {lock}"
        assert Version(found[1]) >= least, lock
    assert Version(importlib.metadata.version(name)) >= least


def test_compose_gives_our_processes_the_same_rights_at_redis() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    command = compose["services"]["redis"]["command"]

    lines = " ".join(command).split(" --user ")[1:]
    passwords = {name: name.upper().replace("STANCHION", "REDIS") + "_PASSWORD" for name in USERS}
    own = [[name, "on", f">${{{passwords[name]}:-${{REDIS_APP_PASSWORD}}}}", *USERS[name]] for name in USERS]
    one = " ".join([APP_USER, "on", ">${REDIS_APP_PASSWORD:?set it in .env}", *APP_RIGHTS])
    assert lines == [one, *map(" ".join, own)]
    services = compose["services"]
    assert services["web"]["environment"]["REDIS_URL"].startswith("redis://stanchion_state:${REDIS_STATE_PASSWORD")
    for name, user in (("worker-orders", "queue"), ("flower", "reader")):
        assert f":-redis://stanchion_{user}:${{REDIS_" in services[name]["environment"]["STANCHION_BROKER_URL"], name
    assert services["flower"]["environment"]["REDIS_URL"].startswith("redis://stanchion_reader:")
