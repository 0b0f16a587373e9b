"""Leave for an attempt that the caller makes itself, as a context manager."""

import asyncio
import math
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING

from reliability.services.guarding.attempt import Attempt
from reliability.services.guarding.deadlines import current_deadline
from reliability.services.guarding.errors import CallTimeoutError

if TYPE_CHECKING:
    from reliability.services.guarding.guard import Guard


class HeldAttempt:
    """``with guard.attempt():`` or ``async with guard.attempt():``, once.

    Entering takes leave of circuit, bulkhead and limiter, and raises if one refuses. Leaving reports
    what happened: an exception is classified, reported and passed on, and never retried. In a
    coroutine the block is cancelled at the policy's timeout and then raises ``CallTimeoutError``.
    """

    def __init__(self, guard: "Guard") -> None:
        self._guard = guard
        self._attempt = Attempt(guard.clock)
        self._token: Token[float] | None = None
        self._seconds = math.inf
        self._timer: asyncio.Timeout | None = None

    def __enter__(self) -> Attempt:
        try:
            self._guard.admission.enter(self._attempt)
        except BaseException:
            self._guard.record(self._attempt)
            raise
        self._token = self._guard.set_deadline(self._attempt)
        return self._attempt

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reset_deadline()
        try:
            if error is None:
                self._guard.succeed(self._attempt)
            else:
                self._guard.fail(self._attempt, error)
        finally:
            self._guard.record(self._attempt)

    async def __aenter__(self) -> Attempt:
        try:
            await self._guard.admission.enter_async(self._attempt)
        except BaseException:
            self._guard.record(self._attempt)
            raise
        self._token = self._guard.set_deadline(self._attempt)
        self._seconds = self._guard.attempt_seconds(self._attempt)
        if self._seconds < math.inf:
            self._timer = asyncio.timeout(self._seconds)
            await self._timer.__aenter__()
        return self._attempt

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reset_deadline()
        timed_out: CallTimeoutError | None = None
        if self._timer is not None:
            try:
                await self._timer.__aexit__(kind, error, trace)
            except TimeoutError as raised:
                timed_out = CallTimeoutError(self._guard.policy.name, self._seconds)
                timed_out.__cause__ = raised
        try:
            if timed_out is not None:
                await self._guard.fail_async(self._attempt, timed_out)
            elif error is None:
                await self._guard.succeed_async(self._attempt)
            else:
                await self._guard.fail_async(self._attempt, error)
        finally:
            self._guard.record(self._attempt)
        if timed_out is not None:
            raise timed_out

    def _reset_deadline(self) -> None:
        if self._token is not None:
            current_deadline.reset(self._token)
            self._token = None
