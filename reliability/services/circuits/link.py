"""The one thread of a process that talks to the shared store: callers hand it steps and never wait long."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue

import redis

from reliability.services.circuits.store import INDEX, STEP_SECONDS, Answer, Step, connect, read_versions, run_steps

PATIENCE_SECONDS = STEP_SECONDS + 0.005
FIRST_STEP_SECONDS = 0.5  # a process that knows nothing asks once with more patience: else it would believe "closed"
_MARGIN_SECONDS = 0.005
_TICK_SECONDS = 0.08
_RETRY_SECONDS = 0.25
_LARGEST_BATCH = 200

logger = logging.getLogger(__name__)

Done = Callable[[Answer | None], None]


class Waiter:
    """Lets a thread wait for the answer of its step."""

    __slots__ = ("_answer", "_lock", "_take_late")

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._take_late: Callable[[Answer], None] | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def __call__(self, answer: Answer | None) -> None:
        self._answer = answer
        self._lock.release()
        self._hand_late()

    def wait(self, patience_seconds: float) -> Answer | None:
        """Return the answer; None if the store was not reached in time."""
        return self._answer if self._lock.acquire(timeout=patience_seconds) else None

    def when_late(self, take: Callable[[Answer], None]) -> None:
        """Call ``take`` with an answer for which nobody waits any more, should it come."""
        self._take_late = take
        self._hand_late()

    def _hand_late(self) -> None:
        """Hand the answer on if there is one and nobody took it: the lock lets one of both threads do it."""
        if self._take_late is not None and self._lock.acquire(blocking=False) and self._answer is not None:
            self._take_late(self._answer)


class AsyncWaiter:
    """Lets a coroutine wait for the answer of its step."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Answer | None] = self._loop.create_future()

    def __call__(self, answer: Answer | None) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            self._loop.call_soon_threadsafe(self._set, answer)

    def _set(self, answer: Answer | None) -> None:
        if not self._future.done():
            self._future.set_result(answer)

    async def wait(self, patience_seconds: float) -> Answer | None:
        """Return the answer; None if the store was not reached in time."""
        try:
            async with asyncio.timeout(patience_seconds):
                return await asyncio.shield(self._future)
        except TimeoutError:
            return None

    def when_late(self, take: Callable[[Answer], None]) -> None:
        """Call ``take`` with an answer for which nobody waits any more, should it come."""
        self._future.add_done_callback(lambda future: take(answer) if (answer := future.result()) else None)


class Link:
    """Runs steps in batches with a short timeout and no retries; while the store is away, answers None at once.

    Attributes:
        is_up: Whether the store answered the last time; True until it was asked.
        errors: Failures of the store since the process began.
    """

    def __init__(
        self,
        url: str,
        process: str,
        settle: Callable[[Step, Answer | None], Sequence[Step]],
        create: Callable[[str], Step],
        tick: Callable[[], None],
    ) -> None:
        self.is_up = bool(url)
        self.errors = 0
        self._process, self._settle, self._create, self._tick = process, settle, create, tick
        self._url = url
        self._client = connect(url, FIRST_STEP_SECONDS) if url else None
        self._has_asked = False
        self._queue: SimpleQueue[tuple[Step, Done | None] | None] = SimpleQueue()
        self._next_tick = 0.0
        self._retry_at = 0.0
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="circuit-link", daemon=True)

    @property
    def patience_seconds(self) -> float:
        """Return how long a caller waits for an answer: longer for the first one of a process."""
        return PATIENCE_SECONDS if self._has_asked else FIRST_STEP_SECONDS + _MARGIN_SECONDS

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._queue.put(None)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2)

    def submit(self, step: Step, done: Done | None = None) -> None:
        """Hand over a step; ``done`` is called in the thread of the link, after the circuit took the answer."""
        self._queue.put((step, done))

    def look_now(self) -> None:
        """Compare with the store at once rather than at the next tick."""
        self._next_tick = 0.0
        self._queue.put(None)

    def run(self, steps: Sequence[Step]) -> list[Answer | None]:
        """Run steps now, in the thread of the link; the circuits have taken the answers. None: not reached."""
        answers = self._attempt(steps)
        missing = [place for place, answer in enumerate(answers) if answer == "missing"]
        if missing:
            names = sorted({steps[place].name for place in missing})
            created = self._attempt([self._create(name) for name in names])
            self._enter(names)
            for name, answer in zip(names, created, strict=True):
                self._settle(Step(name, "create"), answer if isinstance(answer, Answer) else None)
            again = self._attempt([steps[place] for place in missing])
            for place, answer in zip(missing, again, strict=True):
                answers[place] = answer
        found = [answer if isinstance(answer, Answer) else None for answer in answers]
        more: list[Step] = []
        for step, answer in zip(steps, found, strict=True):
            more.extend(self._settle(step, answer))
        if more:
            self.run(more)
        return found

    def versions(self, names: Sequence[str]) -> list[str] | None:
        """Return what the store has of each circuit, or None if it is away."""
        if self._client is None:
            return None
        try:
            found = read_versions(self._client, names)
        except (redis.RedisError, OSError) as error:
            self._went_away(error)
            return None
        finally:
            self._asked()
        self._is_back()
        return found

    # The thread

    def _run(self) -> None:
        while not self._is_stopping:
            batch = self._next_batch()
            if batch:
                self._serve(batch)
            if time.monotonic() >= self._next_tick:
                self._next_tick = time.monotonic() + _TICK_SECONDS
                self._look()
        if self._client is not None:
            self._client.close()

    def _look(self) -> None:
        if not self.is_up and time.monotonic() < self._retry_at:
            return
        try:
            self._tick()
        except Exception as error:  # the thread must outlive whatever happens
            self._went_away(error)

    def _next_batch(self) -> list[tuple[Step, Done | None]]:
        """Wait for steps until the next tick is due; return those that are there, oldest first."""
        try:
            item = self._queue.get(timeout=max(0.0, self._next_tick - time.monotonic()))
        except Empty:
            return []
        batch = [item] if item else []
        while len(batch) < _LARGEST_BATCH:
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
            if item:
                batch.append(item)
        return batch

    def _serve(self, batch: list[tuple[Step, Done | None]]) -> None:
        merged = merge(batch)
        answers: Sequence[Answer | None] = [None] * len(merged)
        if self.is_up:
            try:
                answers = self.run([step for step, _ in merged])
            except Exception as error:  # those who wait must be told, and the thread must live
                self._went_away(error)
        for (_, waiting), answer in zip(merged, answers, strict=True):
            for done in waiting:
                done(answer)

    def _attempt(self, steps: Sequence[Step]) -> list[Answer | str | None]:
        if self._client is None:
            return [None] * len(steps)
        try:
            answers = run_steps(self._client, steps, self._process)
        except (redis.RedisError, OSError) as error:
            self._went_away(error)
            return [None] * len(steps)
        finally:
            self._asked()
        for answer in answers:
            if isinstance(answer, Exception):
                self._went_away(answer)
        return [
            None if isinstance(answer, Exception) else "missing" if answer is None else answer for answer in answers
        ]

    def _enter(self, names: Sequence[str]) -> None:
        """Put names where every process finds the circuits there are."""
        try:
            if self._client is not None:
                self._client.sadd(INDEX, *names)
        except (redis.RedisError, OSError) as error:
            self._went_away(error)

    def _asked(self) -> None:
        """After the first question of a process, answered or not, nobody waits long again."""
        if not self._has_asked and self._client is not None:
            self._has_asked = True
            self._client.close()
            self._client = connect(self._url, STEP_SECONDS)

    def _went_away(self, error: Exception) -> None:
        self.errors += 1
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        if self.is_up:
            self.is_up = False
            is_outage = isinstance(error, redis.RedisError | OSError)
            logger.warning(
                "shared circuit state out of reach; this process decides alone",
                extra={"error": str(error)},
                exc_info=None if is_outage else error,
            )

    def _is_back(self) -> None:
        if not self.is_up:
            self.is_up = True
            logger.info("shared circuit state is back")


def merge(batch: Sequence[tuple[Step, Done | None]]) -> list[tuple[Step, list[Done]]]:
    """Join the counts of one version of one circuit into one step; everything else stays as it is, in order."""
    merged: list[tuple[Step, list[Done]]] = []
    places: dict[tuple[object, ...], int] = {}
    for step, done in batch:
        key = (step.name, *step.arguments[:2])
        waiting = [done] if done else []
        place = places.get(key) if step.operation == "record" else None
        if place is None:
            places = {other: at for other, at in places.items() if other[0] != step.name}  # keep the order of each
            if step.operation == "record":
                places[key] = len(merged)
            merged.append((step, waiting))
            continue
        first, others = merged[place]
        sums = tuple(int(one) + int(two) for one, two in zip(first.arguments[2:5], step.arguments[2:5], strict=True))
        age_ms = min(int(one.arguments[6]) for one in (first, step) if int(one.arguments[2]) or one is step)
        arguments = (*first.arguments[:2], *sums, first.arguments[5], age_ms)
        merged[place] = (replace(first, arguments=arguments), others + waiting)
    return merged
