"""How much time is left: an instant for the whole operation that everything called on its behalf can see."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

current_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


@contextmanager
def deadline_in(seconds: float) -> Iterator[None]:
    """Give everything in the block ``seconds`` at most; a nearer deadline that is set already stays."""
    token = current_deadline.set(min(current_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        current_deadline.reset(token)


def remaining_seconds() -> float:
    """Return the time left for what runs now, at least 0; infinite when nobody set a limit.

    A guarded function that is not a coroutine cannot be interrupted: it passes this to its client as the timeout.
    """
    return max(0.0, current_deadline.get() - time.monotonic())
