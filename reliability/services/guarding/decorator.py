"""``@guard("payments", ...)``: a guard around a function, a coroutine function or the body of a Celery task."""

import functools
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from reliability.core.bulkhead import BulkheadLimit
from reliability.core.classification import Operation
from reliability.core.fallback import Fallback
from reliability.core.rate_limit import Priority, RateLimit
from reliability.core.retry import NO_RETRY, RetryPolicy
from reliability.services.guarding.guard import Guard
from reliability.services.guarding.policy import GuardPolicy
from reliability.services.guarding.task_runs import is_task, run_task

F = TypeVar("F", bound=Callable[..., Any])


def guard(
    name: str,
    *,
    timeout: float | timedelta | None = None,
    retry: RetryPolicy = NO_RETRY,
    fallback: Fallback | None = None,
    operation: Operation | str = Operation.SUBMIT,
    operation_class: str = "",
    account: str = "",
    source: str = "python",
    priority: Priority | str = Priority.NORMAL,
    rate_limit: RateLimit | None = None,
    bulkhead: BulkheadLimit | None = None,
    wait_limit: float | timedelta = 0.0,
    idempotent: bool = False,
    failures: tuple[type[Exception], ...] = (),
    recovery_per_second: float = 50.0,
) -> Callable[[F], F]:
    """Return a decorator that guards calls of the dependency ``name``; the arguments are those of ``GuardPolicy``.

    Durations may be seconds. With a ``fallback`` the function returns an ``Answer``, which says whether
    it is stale. The guard itself is the attribute ``guard`` of the function. Below ``@shared_task(bind=True)``
    it guards the body of a task: where a call is refused the task waits in the queue, without using up
    one of its attempts.

    Raises:
        TypeError: what is decorated is a Celery task already, or not a function.
    """
    policy = GuardPolicy(
        name=name,
        operation=Operation(operation),
        operation_class=operation_class,
        account=account,
        source=source,
        priority=Priority(priority),
        timeout=None if timeout is None else _duration(timeout),
        retry=retry,
        rate_limit=rate_limit,
        bulkhead=bulkhead,
        wait_limit=_duration(wait_limit),
        idempotent=idempotent,
        failures=failures,
        recovery_per_second=recovery_per_second,
    )
    return functools.partial(_wrap, Guard(policy, fallback))  # type: ignore[return-value]  # F in, F out


def _wrap(one: Guard, function: Callable[..., Any]) -> Callable[..., Any]:
    if hasattr(function, "apply_async") or not callable(function) or inspect.isclass(function):
        raise TypeError("guard a function; for a Celery task write @guard(...) below @shared_task(bind=True)")
    has_answer = one.fallback is not None
    if inspect.iscoroutinefunction(function):
        ask_async = one.answer_async if has_answer else one.call_async

        @functools.wraps(function)
        async def guarded_async(*args: Any, **kwargs: Any) -> Any:
            return await ask_async(function, *args, **kwargs)

        guarded_async.guard = one  # type: ignore[attr-defined]
        return guarded_async

    ask = one.answer if has_answer else one.call

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if args and is_task(args[0]):
            return run_task(one, function, args[0], args, kwargs)
        return ask(function, *args, **kwargs)

    guarded.guard = one  # type: ignore[attr-defined]
    return guarded


def _duration(seconds: float | timedelta) -> timedelta:
    return seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
