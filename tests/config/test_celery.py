"""Celery's settings: only names that Celery knows, for both brokers of messages."""

import pytest
from celery.app.defaults import NAMESPACES, flatten
from kombu.utils.imports import symbol_by_name

from config.celery import LANES, settings_for
from reliability.dispatch import RUN_JOBS

OWN = {"stanchion_largest_message_bytes"}
URLS = [
    "redis://127.0.0.1:6379/0",
    "rediss://cache.example/0",
    "amqp://guest:guest@127.0.0.1//",
    "amqps://mq.example//",
    "sentinel://:secret@one.example,two.example/0?master=stanchion",
]


@pytest.mark.parametrize("url", URLS)
def test_every_setting_is_one_that_celery_knows(url: str) -> None:
    known = {name for name, _ in flatten(NAMESPACES)} | OWN
    assert set(settings_for(url)) - known == set()


@pytest.mark.parametrize("url", URLS)
def test_every_lane_has_a_durable_queue_of_its_own(url: str) -> None:
    queues = {queue.name: queue for queue in settings_for(url)["task_queues"]}
    assert set(queues) == set(LANES)
    assert all(queue.durable and queue.routing_key == name for name, queue in queues.items())


@pytest.mark.parametrize("url", URLS)
def test_only_rabbitmq_gets_quorum_queues(url: str) -> None:
    values = settings_for(url)
    expected = "quorum" if url.startswith("amqp") else "classic"
    assert values["task_default_queue_type"] == expected
    for queue in values["task_queues"]:
        assert (queue.queue_arguments or {}).get("x-queue-type", "classic") == expected


@pytest.mark.parametrize("url", URLS)
def test_what_is_named_can_be_imported(url: str) -> None:
    values = settings_for(url)
    assert symbol_by_name(values["worker_consumer"])
    assert symbol_by_name(values["beat_scheduler"])


@pytest.mark.parametrize("url", URLS)
def test_nothing_but_json_is_read(url: str) -> None:
    assert settings_for(url)["accept_content"] == ["json"]


def test_the_application_knows_the_nudge() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    assert RUN_JOBS in app.tasks


def test_celery_is_told_each_sentinel_and_the_master() -> None:
    settings = settings_for("sentinel://app:p%40ss@one:26380,two,[::1]:1/2?master=main&sentinel_password=s")
    login = "app:p%40ss"
    assert settings["broker_url"] == (
        f"sentinel://{login}@one:26380/2;sentinel://{login}@two:26379/2;sentinel://{login}@[::1]:1/2"
    )
    assert settings["broker_transport_options"]["master_name"] == "main"
    assert settings["broker_transport_options"]["sentinel_kwargs"]["password"] == "s"
    assert "master_name" not in settings_for("redis://one/0")["broker_transport_options"]
