"""Celery messages that cannot become a task: kept as dead letters, and the worker lives on."""

from config.chaos.faults.messages import DEAD_MESSAGES
from config.chaos.messages import publish_task, push
from config.chaos.stack import Stack, wait_until
from config.chaos.trial import run_trial


def dead_messages(stack: Stack) -> list[str]:
    return [row[0] for row in stack.query(DEAD_MESSAGES)]


def test_a_queue_entry_that_is_no_message_does_not_stop_the_worker(stack: Stack) -> None:
    url = stack.instance.env["REDIS_URL"]
    push(url, b"this is not even an envelope")
    publish_task(url, "no.such.task.after.it")
    before = len(dead_messages(stack))
    wait_until(lambda: len(dead_messages(stack)) > before, "what came behind it was taken")
    stack.accept_dead_letters()
    run_trial(stack, "a queue entry that is no message", orders=60).require_clean()
