"""The event loop of one pool process: broker calls run side by side on it, in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

import uvloop

from reliability.core.correlation import set_correlation_id
from reliability.core.jobs import JobTimeoutError, NotStartedError, Performed
from reliability.core.work_context import set_work
from reliability.services import tracing
from reliability.services.jobs.kinds import Call
from reliability.services.jobs.traced import perform_traced

_LEASE_SHARE = 0.8


class CallLoop:
    """Performs calls and puts their outcomes into ``outcomes``; started after the fork.

    Whoever reads ``outcomes`` may be woken by a None that others put there.
    """

    def __init__(self) -> None:
        self.outcomes: SimpleQueue[Performed | None] = SimpleQueue()
        self._loop = uvloop.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="calls", daemon=True)
        self._thread.start()

    def start_calls(self, calls: Sequence[Call]) -> None:
        self._loop.call_soon_threadsafe(self._start, calls)

    def refuse_new_calls(self) -> None:
        """From now on calls that have not begun come back as not started."""
        self._stopping = True

    def stop(self) -> None:
        """End the loop; calls still under way are cancelled."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            for task in self._tasks:
                task.cancel()
            with suppress(RuntimeError):
                self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    def _start(self, calls: Sequence[Call]) -> None:
        for call in calls:
            task = self._loop.create_task(self._perform(call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _perform(self, call: Call) -> None:
        self.outcomes.put(await (perform_traced(call, self._outcome) if tracing.is_on() else self._outcome(call)))

    async def _outcome(self, call: Call) -> Performed:
        job = call.job
        lease_is_over = time.monotonic() - job.claimed_monotonic > job.lease_seconds * _LEASE_SHARE
        if self._stopping or lease_is_over:
            return Performed(job, call.request, error=NotStartedError())
        timeout = call.kind.timeout.total_seconds()
        try:
            set_correlation_id(job.correlation_id)
            set_work(job.log_facts)
            async with asyncio.timeout(timeout):
                result = await call.kind.perform(call.request)
        except TimeoutError:
            return Performed(job, call.request, error=JobTimeoutError(f"no outcome within {timeout} s"))
        except asyncio.CancelledError as error:
            return Performed(job, call.request, error=error)
        except Exception as error:
            return Performed(job, call.request, error=error)
        return Performed(job, call.request, result=result)
