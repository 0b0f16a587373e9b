"""Messages in Celery's queue as a broken or hostile program could put them there."""

from typing import Any
from uuid import uuid4

import redis
from celery import Celery

from config.celery import settings_for

_QUEUE_KEY = "stanchion:default"
_TOO_LARGE = "x" * 300_000


def publish_raw(broker_url: str, body: bytes, content_type: str) -> None:
    """Publish bytes as they are, with headers as if they were a task of ours."""
    with _somebody_else(broker_url).connection_for_write() as link, link.Producer() as producer:
        producer.publish(
            body,
            exchange="stanchion",
            routing_key="default",
            content_type=content_type,
            content_encoding="binary",
            headers={"task": "reliability.run_jobs", "id": str(uuid4())},
        )


def push(redis_url: str, text: bytes) -> None:
    """Put what is not even a message into the queue of Redis."""
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(_QUEUE_KEY, text)


def publish_task(broker_url: str, name: str, **kwargs: Any) -> None:
    _somebody_else(broker_url).send_task(name, kwargs=kwargs, queue="default", retry=False)


def _somebody_else(broker_url: str) -> Celery:
    app = Celery("somebody else", set_as_current=False)
    app.conf.update(settings_for(broker_url))
    return app


def publish_what_is_no_task(broker_url: str) -> list[str]:
    """Publish six messages that no task can come of; return the codes of the dead letters they must become, sorted."""
    publish_task(broker_url, "no.such.task", order="1")
    publish_raw(broker_url, b"\xff\xfe{", "application/json")
    publish_raw(broker_url, b"cposix\nsystem\n(S'true'\ntR.", "application/x-python-serialize")
    publish_raw(broker_url, b"!!python/object/apply:os.system ['true']", "application/x-yaml")
    publish_raw(broker_url, b'"neither arguments nor keywords"', "application/json")
    publish_task(broker_url, "reliability.run_jobs", lane=_TOO_LARGE)
    return ["SYSTEM_MESSAGE_TOO_LARGE", "SYSTEM_UNKNOWN_TASK", *["SYSTEM_UNREADABLE_MESSAGE"] * 4]
