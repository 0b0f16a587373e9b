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
                self._take_limits(attempt)
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
                await self._take_limits_async(attempt)
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
            self._parts.bulkhead.leave()

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

    def _take_limits(self, attempt: Attempt) -> None:
        """Take a place and a token. While it waits it holds no permit: a probe's lease is not for waiting."""
        wait_until = min(self._clock() + self._wait_limit, attempt.deadline)
        while True:
            left = wait_until - self._clock()
            refusal = self._take_room(attempt, left) or self._take_place(attempt) or self._take_token()
            if refusal is None:
                return
            self.leave(attempt)
            if refusal.wait_seconds > left:
                raise refusal
            self._release(attempt)
            self._sleep(refusal.wait_seconds)
            attempt.permit = self._admit()

    async def _take_limits_async(self, attempt: Attempt) -> None:
        wait_until = min(self._clock() + self._wait_limit, attempt.deadline)
        while True:
            left = wait_until - self._clock()
            refusal = await self._take_room_async(attempt, left)
            if refusal is None and self._parts.places is not None:
                attempt.place = await self._parts.places.try_enter_async(self._policy.priority)
                refusal = self._full() if attempt.place is None else None
            if refusal is None and self._parts.limiter is not None:
                refusal = self._too_fast(await self._parts.limiter.try_acquire_async(self._policy.priority))
            if refusal is None:
                return
            await self.leave_async(attempt)
            if refusal.wait_seconds > left:
                raise refusal
            self._release(attempt)
            await self._sleep_async(refusal.wait_seconds)
            attempt.permit = await self._admit_async()

    def _take_room(self, attempt: Attempt, left: float) -> CallRefusedError | None:
        bulkhead, priority = self._parts.bulkhead, self._policy.priority
        if bulkhead is None:
            return None
        attempt.has_room = bulkhead.try_enter(priority)
        if attempt.has_room or left <= 0:
            return None if attempt.has_room else self._full()
        self._release(attempt)
        attempt.has_room = bulkhead.enter_within(priority, left)
        if attempt.has_room:
            attempt.permit = self._admit()
        return None if attempt.has_room else self._full()

    async def _take_room_async(self, attempt: Attempt, left: float) -> CallRefusedError | None:
        bulkhead, priority = self._parts.bulkhead, self._policy.priority
        if bulkhead is None:
            return None
        attempt.has_room = bulkhead.try_enter(priority)
        if attempt.has_room or left <= 0:
            return None if attempt.has_room else self._full()
        self._release(attempt)
        attempt.has_room = await bulkhead.enter_within_async(priority, left)
        if attempt.has_room:
            attempt.permit = await self._admit_async()
        return None if attempt.has_room else self._full()

    def _take_place(self, attempt: Attempt) -> CallRefusedError | None:
        if self._parts.places is None:
            return None
        attempt.place = self._parts.places.try_enter(self._policy.priority)
        return self._full() if attempt.place is None else None

    def _take_token(self) -> CallRefusedError | None:
        if self._parts.limiter is None:
            return None
        return self._too_fast(self._parts.limiter.try_acquire(self._policy.priority))

    def _full(self) -> CallRefusedError:
        return CallRefusedError("SYSTEM_BULKHEAD_FULL", self._policy.name, FULL_WAIT_SECONDS)

    def _too_fast(self, wait_seconds: float) -> CallRefusedError | None:
        return CallRefusedError("RATE_LIMIT_LOCAL", self._policy.name, wait_seconds) if wait_seconds > 0 else None

    def _release(self, attempt: Attempt) -> None:
        if attempt.permit is not None:
            attempt.permit.release()
            attempt.permit = None
