"""Leave to make one attempt: circuit, place and rate, in this order, given back together."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from reliability.services.guarding.attempt import Attempt, Ending
from reliability.services.guarding.errors import CallRefusedError
from reliability.services.guarding.outcomes import CallResult
from reliability.services.guarding.parts import Parts
from reliability.services.guarding.policy import GuardPolicy

FULL_WAIT_SECONDS = 0.1


class Admission:
    """Lets attempts of one guard begin, or refuses them with nothing held."""

    def __init__(
        self,
        policy: GuardPolicy,
        parts: Parts,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        sleep_async: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._policy = policy
        self._parts = parts
        self._clock = clock
        self._sleep = sleep
        self._sleep_async = sleep_async
        self._admit = parts.circuit.admit
        self._admit_async = parts.circuit.admit_async
        self._wait_limit = policy.wait_limit.total_seconds()
        self._is_limited = any((parts.bulkhead, parts.places, parts.limiter))
        self._counts_calls = policy.retry.max_attempts > 1

    def enter(self, attempt: Attempt) -> None:
        """Take leave for one attempt, waiting for place and rate as long as the policy and the deadline allow.

        Raises:
            CallRefusedError, CircuitOpenError: it must not begin; nothing is held.
        """
        try:
            if attempt.deadline != math.inf:
                self._check_deadline(attempt)
            attempt.permit = self._admit()
            if self._is_limited:
                refusal = self._take(attempt)
                if refusal is not None:
                    self._wait(attempt, refusal)
        except BaseException as error:
            self.leave(attempt)
            self._note_refusal(attempt, error)
            raise
        self._note_begin(attempt)

    async def enter_async(self, attempt: Attempt) -> None:
        """Like ``enter``, without holding up the event loop."""
        try:
            if attempt.deadline != math.inf:
                self._check_deadline(attempt)
            attempt.permit = await self._admit_async()
            if self._is_limited:
                refusal = await self._take_async(attempt)
                if refusal is not None:
                    await self._wait_async(attempt, refusal)
        except BaseException as error:
            await self.leave_async(attempt)
            self._note_refusal(attempt, error)
            raise
        self._note_begin(attempt)

    def leave(self, attempt: Attempt) -> None:
        """Give place and room back."""
        if attempt.place is not None and self._parts.places is not None:
            place, attempt.place = attempt.place, None
            self._parts.places.leave(place)
        self._leave_room(attempt)

    async def leave_async(self, attempt: Attempt) -> None:
        """Like ``leave``, without holding up the event loop."""
        self._leave_room(attempt)
        if attempt.place is not None and self._parts.places is not None:
            place, attempt.place = attempt.place, None
            await self._parts.places.leave_async(place)

    def _leave_room(self, attempt: Attempt) -> None:
        if attempt.has_room and self._parts.bulkhead is not None:
            attempt.has_room = False
            self._parts.bulkhead.leave(self._policy.group)

    def _check_deadline(self, attempt: Attempt) -> None:
        if self._clock() >= attempt.deadline:
            raise CallRefusedError("TIMEOUT_DEADLINE_PASSED", self._policy.name, 0.0)

    def _note_begin(self, attempt: Attempt) -> None:
        if attempt.attempts == 0 and self._counts_calls:
            self._parts.budget.deposit()
        if attempt.attempts or self._is_limited:
            attempt.entered_at = self._clock()
        attempt.attempts += 1

    def _note_refusal(self, attempt: Attempt, error: BaseException) -> None:
        if attempt.permit is not None:
            attempt.permit.release()
            attempt.permit = None
        result = CallResult.REFUSED if isinstance(error, Exception) else CallResult.CANCELED
        attempt.ending = Ending(result, str(getattr(error, "code", "")))

    def _take(self, attempt: Attempt) -> CallRefusedError | None:
        """Take place and token if they are there now."""
        parts, priority, group = self._parts, self._policy.priority, self._policy.group
        if parts.bulkhead is not None and not attempt.has_room:
            attempt.has_room = parts.bulkhead.try_enter(priority, group)
            if not attempt.has_room:
                return self._full()
        if parts.places is not None:
            attempt.place = parts.places.try_enter(priority, group)
            if attempt.place is None:
                return self._full()
        if parts.limiter is not None:
            wait = parts.limiter.try_acquire(priority)
            if wait > 0:
                return self._too_fast(wait)
        return None

    async def _take_async(self, attempt: Attempt) -> CallRefusedError | None:
        parts, priority, group = self._parts, self._policy.priority, self._policy.group
        if parts.bulkhead is not None and not attempt.has_room:
            attempt.has_room = parts.bulkhead.try_enter(priority, group)
            if not attempt.has_room:
                return self._full()
        if parts.places is not None:
            attempt.place = await parts.places.try_enter_async(priority, group)
            if attempt.place is None:
                return self._full()
        if parts.limiter is not None:
            wait = await parts.limiter.try_acquire_async(priority)
            if wait > 0:
                return self._too_fast(wait)
        return None

    def _wait(self, attempt: Attempt, refusal: CallRefusedError | None) -> None:
        """Wait for what was refused, within the limit. Meanwhile no permit is held: a probe's is not for waiting."""
        wait_until = min(self._clock() + self._wait_limit, attempt.deadline)
        while refusal is not None:
            has_room = attempt.has_room
            self.leave(attempt)
            left = wait_until - self._clock()
            if left <= 0 or (refusal.code == "RATE_LIMIT_LOCAL" and refusal.wait_seconds > left):
                raise refusal
            self._release(attempt)
            if has_room or self._parts.bulkhead is None:
                self._sleep(min(refusal.wait_seconds, left))
            else:
                attempt.has_room = self._parts.bulkhead.enter_within(self._policy.priority, left, self._policy.group)
            attempt.permit = self._admit()
            refusal = self._take(attempt)

    async def _wait_async(self, attempt: Attempt, refusal: CallRefusedError | None) -> None:
        wait_until = min(self._clock() + self._wait_limit, attempt.deadline)
        while refusal is not None:
            has_room = attempt.has_room
            await self.leave_async(attempt)
            left = wait_until - self._clock()
            if left <= 0 or (refusal.code == "RATE_LIMIT_LOCAL" and refusal.wait_seconds > left):
                raise refusal
            self._release(attempt)
            if has_room or self._parts.bulkhead is None:
                await self._sleep_async(min(refusal.wait_seconds, left))
            else:
                bulkhead, group = self._parts.bulkhead, self._policy.group
                attempt.has_room = await bulkhead.enter_within_async(self._policy.priority, left, group)
            attempt.permit = await self._admit_async()
            refusal = await self._take_async(attempt)

    def _full(self) -> CallRefusedError:
        return CallRefusedError("SYSTEM_BULKHEAD_FULL", self._policy.name, FULL_WAIT_SECONDS)

    def _too_fast(self, wait_seconds: float) -> CallRefusedError:
        return CallRefusedError("RATE_LIMIT_LOCAL", self._policy.name, wait_seconds)

    def _release(self, attempt: Attempt) -> None:
        if attempt.permit is not None:
            attempt.permit.release()
            attempt.permit = None
