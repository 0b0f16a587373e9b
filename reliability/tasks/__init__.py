"""Celery's side: thin tasks that wake what does the work."""

from celery import shared_task

from reliability.dispatch import RUN_JOBS
from reliability.tasks import correlation, tracing, worker


@shared_task(name=RUN_JOBS, ignore_result=True)
def run_jobs(lane: str) -> None:
    """Have this pool process look at ``lane`` now; safe to run any number of times."""
    worker.get_runner().wake(lane)


__all__ = ["correlation", "run_jobs", "tracing"]
