"""The worker of the naive Celery subject: a task takes an id, reads the row, calls the broker, records the answer."""

import json
import os

from celery import Celery, Task

from benchmarks.peers.order_job import connection, post

_SETTINGS = json.loads(os.environ.get("BENCH_CELERY", "{}"))
_SELECT = "SELECT terms FROM orders WHERE number = %s"
_RECORD = "UPDATE orders SET state = 'working', broker_order_id = %s WHERE number = %s"

app = Celery("naive", broker=os.environ.get("BENCH_REDIS_URL", "memory://"))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=_SETTINGS.get("late_ack", True),
    task_reject_on_worker_lost=_SETTINGS.get("late_ack", True),
    worker_prefetch_multiplier=_SETTINGS.get("prefetch", 1),
    worker_cancel_long_running_tasks_on_connection_loss=_SETTINGS.get("cancel_on_connection_loss", False),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": _SETTINGS.get("visibility_timeout", 3600),
        "socket_timeout": 5,
        **({"unacked_restore_interval": 1, "unacked_restore_throttle": 1} if _SETTINGS.get("fast_sweep") else {}),
    },
)


@app.task(name="place")
def place(number: int) -> None:
    _place(number)


@app.task(
    name="place_retry",
    bind=True,
    autoretry_for=(Exception,),
    max_retries=5,
    retry_backoff=1,
    retry_backoff_max=4,
    retry_jitter=True,
)
def place_retry(self: Task, number: int) -> None:
    _place(number)


def _place(number: int) -> None:
    row = connection().execute(_SELECT, (number,)).fetchone()
    assert row is not None
    answer = json.loads(post(json.dumps(row[0]).encode()))
    connection().execute(_RECORD, (answer["id"], number))
