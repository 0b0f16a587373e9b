"""A program: sends six tasks within a span, and runs a worker whose processes end after each of them."""

import os
import sys
from pathlib import Path

import django
from celery import Celery

django.setup()

import reliability.tasks  # noqa: E402  # needs the settings
from reliability.services import tracing  # noqa: E402
from reliability.services.tracing.provider import start_tracing, stop_tracing  # noqa: E402

TASKS = 6
app = Celery("traced", broker="filesystem://")
app.set_default()
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False, loader_modules=[reliability.tasks.__name__])


@app.task(name="tests.traced")
def traced(folder: str, number: int) -> None:
    with tracing.span("inside", {"pid": os.getpid()}):
        Path(folder, f"done-{number}").touch()
    if len(list(Path(folder).glob("done-*"))) == TASKS:
        app.control.shutdown()


def main(folder: str) -> int:
    queue, control = Path(folder, "queue"), Path(folder, "control")
    queue.mkdir()
    control.mkdir()
    app.conf.broker_transport_options = {
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "control_folder": str(control),
    }
    start_tracing("sender")
    with tracing.span("sending"):
        for number in range(TASKS):
            traced.delay(folder, number)
    stop_tracing()
    worker = app.Worker(concurrency=1, max_tasks_per_child=1, loglevel="WARNING", without_gossip=True)
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
