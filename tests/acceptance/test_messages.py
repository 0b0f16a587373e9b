"""Celery messages that cannot become a task: kept as dead letters, and the worker lives on."""

from config.chaos.faults.messages import DEAD_MESSAGES
from config.chaos.messages import publish_raw, publish_task, push
from config.chaos.stack import Stack, wait_until
from config.chaos.trial import run_trial


def dead_messages(stack: Stack) -> list[str]:
    return [row[0] for row in stack.query(DEAD_MESSAGES)]


def test_a_queue_entry_that_is_no_message_is_kept_and_does_not_stop_the_worker(stack: Stack) -> None:
    url = stack.message_broker_url
    before = len(dead_messages(stack))
    if url.startswith("amqp"):  # RabbitMQ takes messages only, whatever is in them
        publish_raw(url, b"\xff", "application/octet-stream")
    else:
        push(url, b"this is not even an envelope")
    publish_task(url, "no.such.task.after.it")
    kept = ["SYSTEM_UNKNOWN_TASK", "SYSTEM_UNREADABLE_MESSAGE"]
    wait_until(lambda: sorted(dead_messages(stack)[before:]) == kept, "both became dead letters")
    stack.accept_dead_letters()
    run_trial(stack, "a queue entry that is no message", orders=60).require_clean()
