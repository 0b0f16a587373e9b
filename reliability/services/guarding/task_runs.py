"""The body of a Celery task under a guard: what cannot begin now goes back to the queue and costs no attempt."""

from collections.abc import Callable
from typing import Any, NoReturn

from reliability.core.fallback import Answer
from reliability.services.guarding.attempt import Attempt, Ending
from reliability.services.guarding.errors import CallRefusedError
from reliability.services.guarding.fallbacks import fall_back
from reliability.services.guarding.guard import Guard
from reliability.services.guarding.judging import REFUSALS, refusal_seconds
from reliability.services.guarding.outcomes import CallResult

COUNTDOWN_LIMIT_SECONDS = 300.0
_BUDGET_WAIT_SECONDS = 1.0


class _TaskControl(BaseException):
    """The body told Celery what to do (retry, ignore, reject): that says nothing about the dependency."""

    def __init__(self, wish: Exception) -> None:
        super().__init__(wish)
        self.wish = wish


def is_task(candidate: object) -> bool:
    """Return whether ``candidate`` is a Celery task, told by what every one of them can do."""
    return hasattr(type(candidate), "signature_from_request")


def run_task(guard: Guard, body: Callable[..., Any], task: Any, args: Any, kwargs: Any) -> Any:
    """Make one attempt of a bound task; Celery carries the next one, so nothing sleeps in a worker.

    - Refused (circuit open, no place, no rate, or a retry without budget): the task goes back to the
      queue for as long as that lasts, and its count of retries stays where it is.
    - Failed, and the guard's policy allows a further attempt: ``task.retry`` with backoff, up to the
      policy's ``max_attempts`` (the task's own ``max_retries`` does not count).
    - Outcome unknown: raised at once and never repeated, unless the guard is ``idempotent``.

    A task that is called like a function, or run eagerly, has no queue to wait in: it is retried
    within the call. The value of a fallback's answer is the task's result.
    """
    if task.request.called_directly or task.request.is_eager:
        return guard.answer(body, *args, **kwargs).value if guard.fallback else guard.call(body, *args, **kwargs)
    attempt, answer = Attempt(guard.clock), None
    attempt.attempts = task.request.retries
    try:
        return _attempt(guard, attempt, body, args, kwargs)
    except _TaskControl as control:
        raise control.wish from None
    except Exception as error:
        answer = _answer_instead(guard, attempt, error, args, kwargs)
        if answer is not None:
            return answer.value
        _put_back_or_raise(guard, task, attempt, error)
    finally:
        guard.record(attempt, answer)


def _attempt(guard: Guard, attempt: Attempt, body: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Make the attempt; a repeated one pays for itself first, unless it will be refused anyway."""
    if attempt.attempts and guard.wait_seconds() == 0 and not guard.parts.budget.try_spend(1):
        refusal = CallRefusedError("SYSTEM_RETRY_BUDGET_SPENT", guard.policy.name, _BUDGET_WAIT_SECONDS)
        attempt.ending = Ending(CallResult.REFUSED, refusal.code)
        raise refusal
    return guard.try_once(attempt, _without_control(body), args, kwargs)


def _without_control(body: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return body(*args, **kwargs)
        except Exception as error:
            if any(base.__name__ == "TaskPredicate" for base in type(error).__mro__):
                raise _TaskControl(error) from error
            raise

    return run


def _answer_instead(guard: Guard, attempt: Attempt, error: Exception, args: Any, kwargs: Any) -> Answer[Any] | None:
    try:
        return fall_back(guard.policy, guard.fallback, attempt, error, args, kwargs, guard.clock())
    except Exception as raised:
        if raised is error:
            return None
        raise


def _put_back_or_raise(guard: Guard, task: Any, attempt: Attempt, error: Exception) -> NoReturn:
    request = task.request
    if isinstance(error, REFUSALS) and error.code != "TIMEOUT_DEADLINE_PASSED":
        countdown = min(guard.pace(refusal_seconds(error)).total_seconds(), COUNTDOWN_LIMIT_SECONDS)
        retries = request.retries
        request.retries = retries - 1  # ``retry`` adds one: so it stays what it was
        try:
            raise task.retry(exc=error, countdown=countdown, max_retries=retries)
        finally:
            request.retries = retries
    delay = attempt.judgement.delay_seconds if attempt.judgement is not None else None
    if delay is None:
        raise error
    raise task.retry(exc=error, countdown=min(delay, COUNTDOWN_LIMIT_SECONDS), max_retries=request.retries + 1)
