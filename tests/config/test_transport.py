"""What stands on a queue of Redis and is no message becomes a dead letter, and what comes behind it is delivered."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Consumer, Exchange, Queue

from config.celery import settings_for
from config.transport import RecordingSentinelTransport, RecordingTransport
from reliability.conf import get_conf
from reliability.models import Job
from reliability.redis_client import open_client
from tests.redis_sentinel import running_sentinels

pytestmark = pytest.mark.django_db

NAME = "test-transport"
KEY = f"stanchion:{NAME}"


def envelope(**changes: Any) -> dict[str, Any]:
    message: dict[str, Any] = {
        "body": base64.b64encode(b"[[], {}, {}]").decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "tests.good", "id": "1"},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "tag-1",
            "delivery_info": {"exchange": NAME, "routing_key": NAME},
        },
    }
    return {**message, **changes}


def without(part: str, name: str) -> dict[str, Any]:
    whole = envelope()
    del whole[part][name]
    return whole


def properties(**changes: Any) -> dict[str, Any]:
    return envelope(properties={**envelope()["properties"], **changes})


WHOLE = json.dumps(envelope()).encode()
NO_MESSAGES: dict[str, bytes] = {
    "no JSON": b"this is not even an envelope",
    "no text": b"\xff\xfe\x00\x80",
    "cut off": WHOLE[:-20],
    "empty": b"",
    "a number": b"7",
    "nothing": b"null",
    "a list": b"[1, 2]",
    "no properties": b"{}",
    "too deep": b"[" * 200_000,
    "a body that is no base64": json.dumps(envelope(body="A")).encode(),
    "a body that is no text": json.dumps(envelope(body=[1])).encode(),
    "an encoding nobody knows": json.dumps(properties(body_encoding="rot13")).encode(),
    "no tag": json.dumps(without("properties", "delivery_tag")).encode(),
    "a tag of parts": json.dumps(properties(delivery_tag={"a": 1})).encode(),
    "no address": json.dumps(without("properties", "delivery_info")).encode(),
    "half an address": json.dumps(properties(delivery_info={"exchange": NAME})).encode(),
    "headers without names": json.dumps(envelope(headers=["task"])).encode(),
}


@pytest.fixture
def connection() -> Iterator[Connection]:
    with connected(get_conf().redis_url) as made:
        yield made


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    app = Celery("test", set_as_current=False)
    app.conf.update(settings_for(url))
    with app.connection_for_read() as made, open_client(url) as client:
        client.delete(KEY)
        yield made
        client.delete(KEY)


def deliver_behind(connection: Connection, entry: bytes, url: str = "") -> list[Any]:
    """Put an entry on the queue of a server and a good message behind it, and return what is delivered."""
    bodies: list[Any] = []
    queue = Queue(NAME, Exchange(NAME, type="topic"), routing_key=NAME)

    def take(body: Any, message: Any) -> None:
        bodies.append(body)
        message.ack()

    with connection.channel() as channel, Consumer(channel, [queue], callbacks=[take], accept=["json"]):
        with open_client(url or get_conf().redis_url) as client:
            client.lpush(KEY, entry)
            client.lpush(KEY, WHOLE)
        while not bodies:
            connection.drain_events(timeout=30)
    return bodies


def test_celery_reads_redis_this_way(connection: Connection) -> None:
    assert isinstance(connection.transport, RecordingTransport)


@pytest.mark.parametrize("kind", NO_MESSAGES)
def test_an_entry_that_is_no_message_is_kept_and_stops_nothing(connection: Connection, kind: str) -> None:
    entry = NO_MESSAGES[kind]
    assert deliver_behind(connection, entry) == [[[], {}, {}]]

    letter = Job.objects.get()
    assert (letter.state, letter.kind, letter.error_code) == ("dead", "celery.message", "SYSTEM_UNREADABLE_MESSAGE")
    assert (letter.payload["size"], letter.payload["queue"]) == (len(entry), NAME)
    assert len(letter.payload["body"]) <= 8_000


def test_an_entry_that_is_too_large_is_kept_in_part(connection: Connection) -> None:
    entry = json.dumps(envelope(body="A" * 2**21)).encode()
    assert deliver_behind(connection, entry) == [[[], {}, {}]]

    letter = Job.objects.get()
    assert (letter.error_code, letter.payload["size"]) == ("SYSTEM_MESSAGE_TOO_LARGE", len(entry))
    assert len(letter.payload["body"]) <= 8_000


def test_what_is_kept_of_an_entry_has_no_secrets(connection: Connection) -> None:
    deliver_behind(connection, b'{"login": "redis://user:hunter2@host/0", "api_key": "abcdefgh12345"')

    kept = Job.objects.get()
    text = json.dumps(kept.payload) + kept.error_message
    assert "login" in text
    assert "hunter2" not in text
    assert "abcdefgh12345" not in text


def test_a_good_message_leaves_no_letter(connection: Connection) -> None:
    assert deliver_behind(connection, WHOLE) == [[[], {}, {}]]
    assert not Job.objects.exists()


def test_what_waits_in_a_queue_is_counted(connection: Connection) -> None:
    with connection.channel() as channel, open_client(get_conf().redis_url) as client:
        with pytest.raises(connection.channel_errors):  # Redis knows no empty list
            channel.queue_declare(queue=NAME, passive=True)
        client.lpush(KEY, WHOLE, WHOLE)
        assert channel.queue_declare(queue=NAME, passive=True).message_count == 2


def test_behind_sentinel_it_is_the_same_before_and_after_a_failover(tmp_path: Path) -> None:
    with running_sentinels(tmp_path) as servers:
        for failed_over in (False, True):
            if failed_over:
                servers.fail_over()
            for entry in (NO_MESSAGES["no JSON"], NO_MESSAGES["no tag"]):
                with connected(servers.url) as connection:
                    assert isinstance(connection.transport, RecordingSentinelTransport)
                    assert deliver_behind(connection, entry, servers.url) == [[[], {}, {}]]

    codes = Job.objects.filter(state="dead", kind="celery.message").values_list("error_code", flat=True)
    assert list(codes) == ["SYSTEM_UNREADABLE_MESSAGE"] * 4


def test_a_program_that_only_sends_needs_no_models() -> None:
    """``celery call`` sets Django up no further than its settings."""
    program = "import sys, config.transport; sys.exit('reliability.models' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
