"""What a caller gets when the call itself gives nothing: an answer that says where it comes from and how old it is."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

Value = TypeVar("Value")


class AnswerSource(StrEnum):
    """Where an answer comes from.

    ``LIVE``: the call. ``CACHE``: an earlier call. ``ALTERNATIVE``: another function.
    ``QUEUED``: nowhere yet; the call will be made later, and the value names the queued work.
    """

    LIVE = "live"
    CACHE = "cache"
    ALTERNATIVE = "alternative"
    QUEUED = "queued"


@dataclass(frozen=True, slots=True)
class Answer(Generic[Value]):
    """A value with its origin; ``stale`` when it is not from this call, ``age`` since it was live."""

    value: Value
    stale: bool = False
    age: timedelta = timedelta(0)
    source: AnswerSource = AnswerSource.LIVE


@dataclass(frozen=True, slots=True)
class FailedCall:
    """The call a fallback stands in for: its arguments, why it gave nothing, and now (monotonic seconds)."""

    dependency: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    error: Exception
    now: float


class Fallback(Protocol):
    """Gives an answer instead of an error. Without any fallback the error itself is the clear refusal."""

    def remember(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, now: float) -> None:
        """See the value of a call that succeeded at ``now`` (monotonic seconds)."""

    def answer(self, call: FailedCall) -> Answer[Any]:
        """Return what to say instead; raises ``call.error`` when there is nothing to say."""


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    return args, tuple(sorted(kwargs.items()))


class CachedAnswer:
    """The last good value of the same arguments, marked stale with its age; safe in threads.

    ``max_age`` is the oldest value worth giving, ``size`` the number of values kept: the least
    recently written goes first. ``key`` makes a hashable key of the arguments (args, kwargs).
    """

    def __init__(
        self,
        max_age: timedelta,
        size: int = 1000,
        key: Callable[[tuple[Any, ...], dict[str, Any]], Hashable] = _key,
    ) -> None:
        if max_age <= timedelta(0) or size < 1:
            raise ValueError("max_age is positive and size at least 1")
        self._max_age = max_age
        self._size = size
        self._key = key
        self._values: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def remember(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, now: float) -> None:
        key = self._key(args, kwargs)
        with self._lock:
            known = self._values.get(key)
            if known is not None and known[0] > now:
                return  # a slower thread brings an older value
            self._values[key] = (now, value)
            self._values.move_to_end(key)
            if len(self._values) > self._size:
                self._values.popitem(last=False)

    def answer(self, call: FailedCall) -> Answer[Any]:
        with self._lock:
            known = self._values.get(self._key(call.args, call.kwargs))
        if known is None:
            raise call.error
        age = timedelta(seconds=max(0.0, call.now - known[0]))
        if age > self._max_age:
            raise call.error
        return Answer(known[1], stale=True, age=age, source=AnswerSource.CACHE)


class QueueForLater:
    """Hands the call to ``enqueue``, which makes durable work of it and returns what names that work.

    Only a call that provably did not happen may be queued: the guard does not ask after an ambiguous failure.
    """

    def __init__(self, enqueue: Callable[[FailedCall], Any]) -> None:
        self._enqueue = enqueue

    def remember(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, now: float) -> None:
        """A queue needs no earlier values."""

    def answer(self, call: FailedCall) -> Answer[Any]:
        return Answer(self._enqueue(call), stale=True, source=AnswerSource.QUEUED)


class OtherFunction:
    """Asks another function, with the same arguments: another source, another account, a default."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def remember(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, now: float) -> None:
        """Another function needs no earlier values."""

    def answer(self, call: FailedCall) -> Answer[Any]:
        return Answer(self._function(*call.args, **call.kwargs), stale=True, source=AnswerSource.ALTERNATIVE)
