"""Celery messages that cannot become a task: kept as dead letters, and the worker lives on."""

import base64
import json
from typing import Any
from uuid import uuid4

import redis
from celery import Celery

from config.celery import settings_for
from config.chaos.stack import Stack, wait_until
from config.chaos.trial import run_trial

_QUEUE_KEY = "stanchion:default"
_TOO_LARGE = "x" * 300_000


def publish_raw(stack: Stack, body: bytes, content_type: str) -> None:
    """Put a message straight into the queue of Redis, as a broken or hostile program could."""
    properties = {
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
        "delivery_mode": 2,
        "priority": 0,
        "delivery_info": {"exchange": "stanchion", "routing_key": "default"},
    }
    message: dict[str, Any] = {
        "body": base64.b64encode(body).decode(),
        "content-type": content_type,
        "content-encoding": "binary",
        "headers": {"task": "reliability.run_jobs", "id": str(uuid4())},
        "properties": properties,
    }
    push(stack, json.dumps(message).encode())


def push(stack: Stack, text: bytes) -> None:
    with redis.Redis.from_url(stack.instance.env["REDIS_URL"]) as client:
        client.lpush(_QUEUE_KEY, text)


def publish_task(stack: Stack, name: str, **kwargs: Any) -> None:
    app = Celery("somebody else", set_as_current=False)
    app.conf.update(settings_for(stack.instance.env["REDIS_URL"]))
    app.send_task(name, kwargs=kwargs, queue="default", retry=False)


def dead_messages(stack: Stack) -> list[str]:
    rows = stack.query(
        "SELECT error_code FROM reliability_job WHERE kind = 'celery.message' AND state = 'dead' ORDER BY id"
    )
    return [row[0] for row in rows]


def test_messages_that_are_no_tasks_become_dead_letters(stack: Stack) -> None:
    worker = stack.pid("worker-general")
    before = len(dead_messages(stack))
    publish_task(stack, "no.such.task", order="1")
    publish_raw(stack, b"\xff\xfe{", "application/json")
    publish_raw(stack, b"cposix\nsystem\n(S'true'\ntR.", "application/x-python-serialize")
    publish_raw(stack, b"!!python/object/apply:os.system ['true']", "application/x-yaml")
    publish_raw(stack, b'"neither arguments nor keywords"', "application/json")
    publish_task(stack, "reliability.run_jobs", lane=_TOO_LARGE)
    wait_until(lambda: len(dead_messages(stack)) - before >= 6, "six dead letters are there")

    assert sorted(dead_messages(stack)[before:]) == [
        "SYSTEM_MESSAGE_TOO_LARGE",
        "SYSTEM_UNKNOWN_TASK",
        *["SYSTEM_UNREADABLE_MESSAGE"] * 4,
    ]
    stack.accept_dead_letters()
    run_trial(stack, "messages that are no tasks", orders=60).require_clean()
    assert stack.pid("worker-general") == worker


def test_a_queue_entry_that_is_no_message_does_not_stop_the_worker(stack: Stack) -> None:
    push(stack, b"this is not even an envelope")
    publish_task(stack, "no.such.task.after.it")
    before = len(dead_messages(stack))
    wait_until(lambda: len(dead_messages(stack)) > before, "what came behind it was taken")
    stack.accept_dead_letters()
    run_trial(stack, "a queue entry that is no message", orders=60).require_clean()
