"""Naive Celery: a task per order, enqueued after the row is committed, acknowledged early as by default."""

import os

from celery import Celery

from benchmarks.peers.order_job import carry_out

app = Celery("naive", broker=os.environ.get("BENCH_REDIS_URL", "memory://"))
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
if os.environ.get("BENCH_LATE_ACK"):
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)


@app.task(name="place")
def place(number: int) -> None:
    carry_out(number)
