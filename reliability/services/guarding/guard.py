"""The guard around every call of a dependency: leave to call, one attempt, what it means, one record."""

import asyncio
import math
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextvars import Token
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from reliability.core.correlation import current_correlation_id
from reliability.core.fallback import Answer, Fallback
from reliability.core.retry import RETRY_AFTER_LIMIT, Pacer
from reliability.services.guarding.admission import FULL_WAIT_SECONDS, Admission
from reliability.services.guarding.attempt import Attempt, Ending, Judgement
from reliability.services.guarding.deadlines import current_deadline
from reliability.services.guarding.errors import CallTimeoutError
from reliability.services.guarding.fallbacks import fall_back
from reliability.services.guarding.held import HeldAttempt
from reliability.services.guarding.judging import REFUSALS, judge
from reliability.services.guarding.outcomes import CallOutcome, CallResult, record, wants_successes
from reliability.services.guarding.parts import Parts, connect_parts
from reliability.services.guarding.policy import CircuitEffect, GuardPolicy

P = ParamSpec("P")
R = TypeVar("R")
_Unknown = tuple[BaseException, Ending]


class Guard:
    """Guards the calls of one operation of one dependency; safe in threads and coroutines.

    The layers, outermost first: fallback, retries within a budget, deadline, circuit, bulkhead, rate
    limit, timeout, one attempt. What a layer refuses was not begun. The parts shared with other
    processes are connected with the first call, so a guard may be made while a module is imported.
    """

    def __init__(
        self,
        policy: GuardPolicy,
        fallback: Fallback | None = None,
        *,
        parts: Parts | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        sleep_async: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy
        self.fallback = fallback
        self.clock = clock
        self._parts = parts
        self._admission: Admission | None = None
        self._sleep = sleep
        self._sleep_async = sleep_async
        self._draw = draw
        self._timeout = math.inf if policy.timeout is None else policy.timeout.total_seconds()
        self._pacer = Pacer(policy.recovery_per_second)

    # -- calls --------------------------------------------------------------------------

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return ``function(*args, **kwargs)``, called under this guard and retried as its policy says.

        Raises:
            CallRefusedError, CircuitOpenError: it was not begun, or no attempt before had any effect.
            Exception: what the last attempt raised; where a further one was refused, the last that may have had effect.
        """
        attempt = Attempt(self.clock)
        try:
            return self.run(attempt, function, args, kwargs)
        finally:
            self.record(attempt)

    async def call_async(self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Like ``call`` for a coroutine function; an attempt is cancelled at its timeout."""
        attempt = Attempt(self.clock)
        try:
            return await self.run_async(attempt, function, args, kwargs)
        finally:
            self.record(attempt)

    def answer(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Answer[R]:
        """Like ``call``, with the fallback's answer where the dependency gave none; the answer says which it is.

        An answer the dependency gave stays as it is, even a refusal, and so does a failure that
        leaves the outcome unknown: a fallback would hide that something may have happened.
        """
        attempt = Attempt(self.clock)
        found: Answer[R] | None = None
        try:
            value = self.run(attempt, function, args, kwargs)
        except Exception as error:
            instead: Answer[R] = fall_back(self.policy, self.fallback, attempt, error, args, kwargs, self.clock())
            found = instead
            return instead
        finally:
            self.record(attempt, found)
        return self._live(value, args, kwargs)

    async def answer_async(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Answer[R]:
        """Like ``answer`` for a coroutine function; the fallback itself runs in a thread."""
        attempt = Attempt(self.clock)
        found: Answer[R] | None = None
        try:
            value = await self.run_async(attempt, function, args, kwargs)
        except Exception as error:
            arguments = (self.policy, self.fallback, attempt, error, args, kwargs, self.clock())
            instead: Answer[R] = await asyncio.to_thread(fall_back, *arguments)
            found = instead
            return instead
        finally:
            self.record(attempt, found)
        return self._live(value, args, kwargs)

    def attempt(self) -> HeldAttempt:
        """Return leave for one attempt that the caller makes: ``with`` or ``async with``, once; never retried."""
        return HeldAttempt(self)

    def wait_seconds(self) -> float:
        """Return about how long a call would be refused from now, 0 when it may be tried.

        One look at circuit, limiter and bulkhead that takes nothing and asks nobody.
        """
        parts, priority, group = self.parts, self.policy.priority, self.policy.group
        wait = float(parts.circuit.wait_seconds())
        if parts.limiter is not None:
            wait = max(wait, parts.limiter.wait_seconds(priority))
        if parts.bulkhead is not None and not parts.bulkhead.has_room(priority, group):
            wait = max(wait, FULL_WAIT_SECONDS)
        if parts.places is not None:
            wait = max(wait, parts.places.wait_seconds(priority, group))
        return wait

    def room(self) -> int:
        """Return how many more calls of this priority fit into this process now; takes nothing."""
        bulkhead, shared = self.parts.bulkhead, self.policy.shared_bulkhead
        priority, group = self.policy.priority, self.policy.group
        room = sys.maxsize if bulkhead is None else bulkhead.room(priority, group)
        return room if shared is None else min(room, shared.places(priority, group))

    def pace(self, wait_seconds: float) -> timedelta:
        """Return when work that must wait at least ``wait_seconds`` comes back: each caller gets a later place.

        Ten thousand jobs that wait for one dependency come back at the policy's ``recovery_per_second``,
        shared among the processes, instead of all at the instant its circuit closes.
        """
        cooldown = timedelta(seconds=wait_seconds)
        return self._pacer.delay(self.clock(), cooldown, self._draw(), self.parts.processes)

    # -- one call, without its record ---------------------------------------------------

    def run(self, attempt: Attempt, function: Callable[..., R], args: Any, kwargs: Any) -> R:
        """Make the attempts of one call; the caller records ``attempt``."""
        admission = self._admission or self._connect()
        unknown: _Unknown | None = None
        while True:
            try:
                admission.enter(attempt)
            except REFUSALS as refusal:
                _stay_unknown(attempt, unknown, refusal)
                raise
            token = self.set_deadline(attempt)
            try:
                value = function(*args, **kwargs)
            except BaseException as error:
                delay = self._retry_seconds(attempt, self.fail(attempt, error))
                if delay is None:
                    raise
                unknown = _unknown_since(attempt, error) or unknown
            else:
                self.succeed(attempt)
                return value
            finally:
                if token is not None:
                    current_deadline.reset(token)
            self._sleep(delay)

    def try_once(self, attempt: Attempt, function: Callable[..., R], args: Any, kwargs: Any) -> R:
        """Make one attempt for a caller that arranges further ones: ``attempt.judgement`` says when."""
        (self._admission or self._connect()).enter(attempt)
        token = self.set_deadline(attempt)
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            attempt.judgement = self.fail(attempt, error)
            raise
        finally:
            if token is not None:
                current_deadline.reset(token)
        self.succeed(attempt)
        return value

    async def run_async(self, attempt: Attempt, function: Callable[..., Awaitable[R]], args: Any, kwargs: Any) -> R:
        """Like ``run`` for a coroutine function."""
        admission = self._admission or self._connect()
        unknown: _Unknown | None = None
        while True:
            try:
                await admission.enter_async(attempt)
            except REFUSALS as refusal:
                _stay_unknown(attempt, unknown, refusal)
                raise
            token = self.set_deadline(attempt)
            try:
                if token is None:
                    value = await function(*args, **kwargs)
                else:
                    value = await self._in_time(self.attempt_seconds(attempt), function, args, kwargs)
            except BaseException as error:
                delay = await self._retry_seconds_async(attempt, await self.fail_async(attempt, error))
                if delay is None:
                    raise
                unknown = _unknown_since(attempt, error) or unknown
            else:
                await self.succeed_async(attempt)
                return value
            finally:
                if token is not None:
                    current_deadline.reset(token)
            await self._sleep_async(delay)

    async def _in_time(self, seconds: float, function: Callable[..., Awaitable[R]], args: Any, kwargs: Any) -> R:
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                return await function(*args, **kwargs)
        except TimeoutError as error:
            if timer.expired():
                raise CallTimeoutError(self.policy.name, seconds) from error
            raise

    def attempt_seconds(self, attempt: Attempt) -> float:
        """Return the time an attempt that begins now may take; infinite without timeout and deadline."""
        if attempt.deadline == math.inf:
            return self._timeout
        return min(self._timeout, max(0.0, attempt.deadline - self.clock()))

    def set_deadline(self, attempt: Attempt) -> Token[float] | None:
        """Let what is called see when its time is over."""
        if self._timeout == math.inf:
            return None if attempt.deadline == math.inf else current_deadline.set(attempt.deadline)
        return current_deadline.set(min(attempt.deadline, self.clock() + self._timeout))

    # -- the end of an attempt ----------------------------------------------------------

    def succeed(self, attempt: Attempt) -> None:
        """Report an attempt that brought a value."""
        attempt.permit.succeed(self.clock() - attempt.entered_at)
        attempt.permit = attempt.ending = None
        if attempt.has_room or attempt.place is not None:
            self.admission.leave(attempt)

    async def succeed_async(self, attempt: Attempt) -> None:
        """Like ``succeed``, without holding up the event loop: a caller cancelled meanwhile has reported already."""
        attempt.permit.succeed(self.clock() - attempt.entered_at)
        attempt.permit = attempt.ending = None
        if attempt.has_room or attempt.place is not None:
            await self.admission.leave_async(attempt)

    def fail(self, attempt: Attempt, error: BaseException) -> Judgement:
        """Report an attempt that raised, and return what it means."""
        self.admission.leave(attempt)
        judgement = self._judge(attempt, error)
        permit, attempt.permit = attempt.permit, None
        if judgement.effect is CircuitEffect.FAILURE:
            permit.fail(self.clock() - attempt.entered_at)
        if judgement.pause_seconds and self.parts.limiter is not None:
            self.parts.limiter.penalize(judgement.pause_seconds)
        return judgement

    async def fail_async(self, attempt: Attempt, error: BaseException) -> Judgement:
        """Like ``fail``, without holding up the event loop."""
        await self.admission.leave_async(attempt)
        judgement = self._judge(attempt, error)
        permit, attempt.permit = attempt.permit, None
        if judgement.effect is CircuitEffect.FAILURE:
            await permit.fail_async(self.clock() - attempt.entered_at)
        if judgement.pause_seconds and self.parts.limiter is not None:
            await self.parts.limiter.penalize_async(judgement.pause_seconds)
        return judgement

    def _retry_seconds(self, attempt: Attempt, judgement: Judgement) -> float | None:
        """Pay for a further attempt of this call. Returns the wait before it, or None when there is none."""
        delay = self._inline_seconds(judgement)
        if delay is None or self.parts.budget.try_spend(judgement.cost):
            return delay
        _note_spent_budget(attempt)
        return None

    async def _retry_seconds_async(self, attempt: Attempt, judgement: Judgement) -> float | None:
        delay = self._inline_seconds(judgement)
        if delay is None or await self.parts.budget.try_spend_async(judgement.cost):
            return delay
        _note_spent_budget(attempt)
        return None

    def _inline_seconds(self, judgement: Judgement) -> float | None:
        """Return the wait if it is short enough for waiting inside a call; a longer one was named by the other side."""
        delay, longest = judgement.delay_seconds, self.policy.retry.delay_max + RETRY_AFTER_LIMIT
        return None if delay is None or delay > longest.total_seconds() else delay

    def _judge(self, attempt: Attempt, error: BaseException) -> Judgement:
        """Say what the failure means, and settle the permit unless the failure counts against the circuit."""
        is_settled = False
        try:
            judgement = judge(self.policy, self.parts.classify, attempt, error, self.clock(), self._draw())
            is_settled = judgement.effect is CircuitEffect.FAILURE
            if judgement.effect is CircuitEffect.SUCCESS:
                attempt.permit.succeed(self.clock() - attempt.entered_at)
                is_settled = True
        finally:
            if not is_settled:
                attempt.permit.release()
        return judgement

    # -- records and parts --------------------------------------------------------------

    def record(self, attempt: Attempt, answer: Answer[Any] | None = None) -> None:
        """Write the one record of a call that is over; free of cost for a success nobody wants to hear of."""
        ending = attempt.ending
        if ending is None and not wants_successes():
            return
        record(
            CallOutcome(
                dependency=self.policy.name,
                circuit=self.policy.circuit_name,
                operation=self.policy.operation.value,
                result=CallResult.SUCCEEDED if ending is None else ending.result,
                code="" if ending is None else ending.code,
                attempts=attempt.attempts,
                duration_seconds=self.clock() - attempt.started_at,
                correlation_id=current_correlation_id(),
                error=None if ending is None else ending.error,
                stopped_by="" if ending is None else ending.stopped_by,
                answered_from=None if answer is None else answer.source,
            )
        )

    @property
    def parts(self) -> Parts:
        """The connected parts of this guard."""
        if self._parts is None:
            self._connect()
            assert self._parts is not None
        return self._parts

    @property
    def admission(self) -> Admission:
        return self._admission or self._connect()

    def _connect(self) -> Admission:
        """Connect the parts; two threads that come first both get the same ones, so it needs no lock."""
        self._parts = self._parts or connect_parts(self.policy)
        self._admission = Admission(
            self.policy, self._parts, clock=self.clock, sleep=self._sleep, sleep_async=self._sleep_async
        )
        return self._admission

    def _live(self, value: R, args: Any, kwargs: Any) -> Answer[R]:
        if self.fallback is not None:
            self.fallback.remember(args, kwargs, value, self.clock())
        return Answer(value)


def _unknown_since(attempt: Attempt, error: BaseException) -> _Unknown | None:
    """Return what a failed attempt leaves open if it may have been carried out, None otherwise."""
    ending = attempt.ending
    return (error, ending) if ending is not None and ending.error is not None and ending.error.ambiguous else None


def _stay_unknown(attempt: Attempt, unknown: _Unknown | None, refusal: Exception) -> None:
    """Raise what an earlier attempt left open: a further one that is refused does not say that nothing was sent."""
    if unknown is None:
        return
    error, attempt.ending = unknown
    attempt.ending.stopped_by = str(getattr(refusal, "code", ""))
    raise error from refusal


def _note_spent_budget(attempt: Attempt) -> None:
    assert attempt.ending is not None
    attempt.ending.stopped_by = "SYSTEM_RETRY_BUDGET_SPENT"
