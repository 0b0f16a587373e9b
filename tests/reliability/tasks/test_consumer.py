"""Messages that cannot become a task are kept, acknowledged, and can be sent again."""

import json
from typing import Any

import pytest
from celery.worker.consumer import Consumer
from kombu import Message

from config.celery import app
from reliability import dispatch
from reliability.models import Job
from reliability.services.jobs.deadletters import replay_dead_letters
from reliability.tasks.consumer import RecordingConsumer
from reliability.tasks.worker import keep_failed_task
from tests.fakes import run_due

pytestmark = pytest.mark.django_db


class Kept(Message):
    """A message that remembers whether it was taken off the queue."""

    def __init__(self, body: Any, **values: Any) -> None:
        facts = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "headers": {"task": "tests.no_such_task", "id": "1"},
            "delivery_info": {"routing_key": "default"},
        }
        super().__init__(body=body, channel=None, delivery_tag="1", **{**facts, **values})
        self.taken = False

    def ack(self, multiple: bool = False) -> None:
        self.taken = True

    def ack_log_error(self, logger: Any, errors: Any, multiple: bool = False) -> None:
        self.taken = True

    def reject(self, requeue: bool = False) -> None:
        self.taken = not requeue

    def reject_log_error(self, logger: Any, errors: Any, requeue: bool = False) -> None:
        self.taken = not requeue


def body(kwargs: dict[str, Any]) -> bytes:
    return json.dumps([[], kwargs, {}]).encode()


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> RecordingConsumer:
    made = RecordingConsumer.__new__(RecordingConsumer)
    made.app = app
    made.connection_errors = (OSError,)
    made.event_dispatcher = None
    monkeypatch.setattr(Consumer, "create_task_handler", lambda self: lambda message: "handled")
    return made


def only_letter() -> Job:
    job = Job.objects.get()
    assert (job.state, job.kind) == ("dead", "celery.message")
    return job


def test_a_task_nobody_knows_is_kept(consumer: RecordingConsumer) -> None:
    message = Kept(body({"n": 1}))
    consumer.on_unknown_task(message.body, message, KeyError("tests.no_such_task"))

    assert message.taken
    assert only_letter().error_code == "SYSTEM_UNKNOWN_TASK"
    assert only_letter().payload["kwargs"] == {"n": 1}


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"{", b"", b"\x00"])
def test_a_body_that_cannot_be_decoded_is_kept(consumer: RecordingConsumer, data: bytes) -> None:
    message = Kept(data)
    consumer.on_decode_error(message, ValueError("no\x00t JSON"))

    assert message.taken
    assert (only_letter().error_code, only_letter().payload["size"]) == ("SYSTEM_UNREADABLE_MESSAGE", len(data))


def test_arguments_that_the_database_cannot_keep_do_not_lose_the_message(consumer: RecordingConsumer) -> None:
    message = Kept(body({"text": "a\x00b \ud800"}))
    consumer.on_unknown_task(message.body, message, KeyError("x"))

    assert only_letter().payload["task"] == "tests.no_such_task"


def test_a_message_that_is_too_large_is_kept_in_part_and_not_run(consumer: RecordingConsumer) -> None:
    largest = app.conf.stanchion_largest_message_bytes
    message = Kept(b"x" * (largest + 1))
    assert consumer.create_task_handler()(message) != "handled"

    assert message.taken
    assert only_letter().error_code == "SYSTEM_MESSAGE_TOO_LARGE"
    assert only_letter().payload["size"] == largest + 1
    assert len(only_letter().payload["body"]) < 5000


def test_a_message_of_the_largest_size_is_run(consumer: RecordingConsumer) -> None:
    message = Kept(b"x" * app.conf.stanchion_largest_message_bytes)
    assert consumer.create_task_handler()(message) == "handled"
    assert not Job.objects.exists()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What leaves through ``dispatch`` instead of a message broker."""
    messages: list[tuple[Any, ...]] = []

    def publish(name: str, kwargs: dict[str, Any], *, queue: str, args: Any = (), expires: Any = None) -> None:
        messages.append((name, list(args), kwargs, queue))

    monkeypatch.setattr(dispatch, "send_task", publish)
    return messages


def test_a_replayed_message_is_sent_again_with_all_its_arguments(
    consumer: RecordingConsumer, sent: list[tuple[Any, ...]]
) -> None:
    message = Kept(json.dumps([[1, "two"], {"three": 3}, {}]).encode())
    consumer.on_unknown_task(message.body, message, KeyError("x"))
    replay_dead_letters([only_letter().pk], actor="anna", reason="the worker knows it now")
    run_due("default")

    assert sent == [("tests.no_such_task", [1, "two"], {"three": 3}, "default")]
    assert Job.objects.get().state == "succeeded"


def test_a_task_that_failed_is_kept_and_can_be_sent_again(sent: list[tuple[Any, ...]]) -> None:
    task = type("Task", (), {"name": "tests.fails"})()
    keep_failed_task(task, task_id="7", exception=RuntimeError("boom"), args=[1], kwargs={"a": 2})
    assert only_letter().error_code == "SYSTEM_TASK_FAILED"
    replay_dead_letters([only_letter().pk], actor="anna", reason="mended")
    run_due("default")

    assert sent == [("tests.fails", [1], {"a": 2}, "default")]


def test_a_message_without_a_readable_task_dies_again(consumer: RecordingConsumer, sent: list[Any]) -> None:
    consumer.on_decode_error(Kept(b"{"), ValueError("x"))
    replay_dead_letters([only_letter().pk], actor="anna", reason="try")
    run_due("default")
    assert (only_letter().error_code, sent) == ("SYSTEM_UNREADABLE_MESSAGE", [])


def test_a_lost_nudge_is_no_dead_letter() -> None:
    task = type("Task", (), {"name": "reliability.run_jobs"})()
    keep_failed_task(task, task_id="7", exception=RuntimeError("boom"), args=[], kwargs={"lane": "orders"})
    assert not Job.objects.exists()
