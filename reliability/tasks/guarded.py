"""``@guarded_task("payments", ...)``: a Celery task whose body is guarded, in one decorator."""

from collections.abc import Callable, Mapping
from typing import Any

from celery import shared_task

from reliability.services.guarding.decorator import guard


def guarded_task(
    name: str, *, task_options: Mapping[str, Any] | None = None, **guard_options: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that makes a bound Celery task of a function and guards its body.

    The function gets the task as its first argument. ``guard_options`` are those of ``guard``,
    ``task_options`` those of ``shared_task``. The guard's policy decides how often the task is retried.

    Raises:
        TypeError: ``task_options`` ask for retries of Celery's own, which would know nothing of the guard.
    """
    options = dict(task_options or {})
    clashing = sorted(options.keys() & {"bind", "autoretry_for", "max_retries", "retry_kwargs", "retry_backoff"})
    if clashing:
        raise TypeError(f"the guard decides about retries and binds the task; leave out {', '.join(clashing)}")

    def decorate(function: Callable[..., Any]) -> Any:
        return shared_task(bind=True, **options)(guard(name, **guard_options)(function))

    return decorate
