"""A Celery worker's life: each pool process gets a pulse and a runner after it was forked."""

import logging
from typing import Any

import billiard.pool
from celery import current_app, signals
from django.db.backends.signals import connection_created

from reliability.core.work_context import set_work
from reliability.services.jobs.deadletters import record_dead_message
from reliability.services.jobs.runner import JobRunner
from reliability.services.pulse import Pulse, start_process_pulse
from reliability.services.records import follow_records
from reliability.services.tracing.provider import start_tracing, stop_tracing

_STOP_SECONDS = 7.0
_RESULT_WAITS = 3  # of 0.1 s each
_OWN_TASKS = "reliability.run_jobs"

logger = logging.getLogger(__name__)

_runner: JobRunner | None = None
_pulse: Pulse | None = None


class NoRunnerError(RuntimeError):
    """This process is not a pool process of a worker."""


def get_runner() -> JobRunner:
    if _runner is None:
        raise NoRunnerError("jobs run in the pool processes of a worker only")
    return _runner


def served_lanes() -> list[str]:
    """Return the lanes of this worker: the queues it was told to consume."""
    return list(current_app.amqp.queues.consume_from)


def runs_jobs() -> bool:
    """Return whether this worker carries Stanchion's lanes; an application that only guards its own tasks does not."""
    return "stanchion_largest_message_bytes" in current_app.conf


def prefer_indexes(connection: Any, **_: Any) -> None:
    """Keep prepared plans on their indexes: a plan made while a table was small outlives its being small."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")


@signals.worker_process_init.connect
def start_runner(**_: Any) -> None:
    global _runner, _pulse
    start_tracing("worker")
    if not runs_jobs():
        return
    # Before it ends, a pool process waits 30 s for its parent to read the last results; a parent
    # that stops may read none. Nudges have no results, and jobs are finished in the database.
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = _RESULT_WAITS
    connection_created.connect(prefer_indexes, dispatch_uid="prefer_indexes")
    lanes = served_lanes()
    _pulse = Pulse("worker", f"worker {'+'.join(lanes)}")
    follow_records()
    _runner = JobRunner(lanes, _pulse)


@signals.worker_process_shutdown.connect
def stop_runner(**_: Any) -> None:
    """Hand back what was not begun, finish what was, and give up the pulse."""
    if _runner is not None:
        _runner.stop(_STOP_SECONDS)
    if _pulse is not None:
        _pulse.stop()
    stop_tracing()


@signals.worker_ready.connect
def start_main_pulse(sender: Any, **_: Any) -> None:
    if runs_jobs():
        start_process_pulse("worker-main", f"main of {sender.hostname}")


@signals.task_prerun.connect
def begin_task_context(task: Any, task_id: str, **_: Any) -> None:
    """Let every line written meanwhile say which task of which queue it is about."""
    delivery = task.request.delivery_info or {}
    set_work({"task": task.name, "task_id": task_id, "queue": delivery.get("routing_key")})


@signals.task_postrun.connect
def end_task_context(**_: Any) -> None:
    set_work({})


@signals.task_failure.connect
def keep_failed_task(sender: Any, task_id: str, exception: BaseException, args: Any, kwargs: Any, **_: Any) -> None:
    """A task outside the jobs that failed becomes a dead letter; nudges may be lost."""
    if sender.name == _OWN_TASKS or not runs_jobs():
        return
    detail = {"task": sender.name, "task_id": task_id, "args": args, "kwargs": kwargs}
    record_dead_message("SYSTEM_TASK_FAILED", f"{sender.name}: {exception!r}", detail)
