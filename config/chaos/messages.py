"""Messages in Celery's queue as a broken or hostile program could put them there."""

import base64
import json
from typing import Any
from uuid import uuid4

import redis
from celery import Celery

from config.celery import settings_for

_QUEUE_KEY = "stanchion:default"
_TOO_LARGE = "x" * 300_000


def publish_raw(redis_url: str, body: bytes, content_type: str) -> None:
    """Put a message straight into the queue of Redis."""
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
    push(redis_url, json.dumps(message).encode())


def push(redis_url: str, text: bytes) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(_QUEUE_KEY, text)


def publish_task(redis_url: str, name: str, **kwargs: Any) -> None:
    app = Celery("somebody else", set_as_current=False)
    app.conf.update(settings_for(redis_url))
    app.send_task(name, kwargs=kwargs, queue="default", retry=False)


def publish_what_is_no_task(redis_url: str) -> list[str]:
    """Publish six messages that no task can come of; return the codes of the dead letters they must become, sorted."""
    publish_task(redis_url, "no.such.task", order="1")
    publish_raw(redis_url, b"\xff\xfe{", "application/json")
    publish_raw(redis_url, b"cposix\nsystem\n(S'true'\ntR.", "application/x-python-serialize")
    publish_raw(redis_url, b"!!python/object/apply:os.system ['true']", "application/x-yaml")
    publish_raw(redis_url, b'"neither arguments nor keywords"', "application/json")
    publish_task(redis_url, "reliability.run_jobs", lane=_TOO_LARGE)
    return ["SYSTEM_MESSAGE_TOO_LARGE", "SYSTEM_UNKNOWN_TASK", *["SYSTEM_UNREADABLE_MESSAGE"] * 4]
