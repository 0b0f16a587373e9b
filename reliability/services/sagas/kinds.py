"""Kinds of sagas: what their steps do, and the registry of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from reliability.core.jobs import JobError, JobTimeoutError
from reliability.core.retry import RetryPolicy
from reliability.core.saga import Finished, TryAgain, Verdict


@dataclass(frozen=True, slots=True)
class StepContext:
    """One step in the hands of its job: what it is about, and what it knows from before."""

    saga_id: UUID
    saga_payload: dict[str, Any]
    number: int
    payload: dict[str, Any]
    result: dict[str, Any]
    undo_round: int
    correlation_id: str


class StepAction:
    """What a step does, and how it is taken back. Each part may run again after a crash, so each is idempotent.

    ``prepare`` reads rows and returns a plain request, ``perform`` is a coroutine that
    touches the network only, ``apply`` writes rows and gives the verdict, in a transaction of
    its own with the saga locked; rows it locks are locked after the saga, in the order of
    their ids. A step without a call leaves out the first two. The ``undo`` parts take back
    whatever the step did, also when it failed half way or was stopped; by default nothing.
    """

    def prepare(self, step: StepContext) -> Any:
        return None

    async def perform(self, request: Any) -> Any:
        return None

    def apply(self, step: StepContext, result: Any) -> Verdict:
        raise NotImplementedError

    def prepare_undo(self, step: StepContext) -> Any:
        return None

    async def perform_undo(self, request: Any) -> Any:
        return None

    def apply_undo(self, step: StepContext, result: Any) -> Verdict:
        return Finished()

    def judge_error(self, step: StepContext, error: BaseException) -> Verdict:
        """Return what an exception of ``perform`` or ``perform_undo`` means: by default one more attempt."""
        code = "SYSTEM_JOB_TIMEOUT" if isinstance(error, JobTimeoutError) else "SYSTEM_UNEXPECTED"
        return TryAgain(JobError(code, repr(error)[:1000]))


class SagaKind:
    """One kind of saga: its name, the lane of its jobs and their priority there, and its actions by name."""

    name: ClassVar[str]
    lane: ClassVar[str] = "default"
    priority: ClassVar[int] = 100
    retry: ClassVar[RetryPolicy] = RetryPolicy()
    timeout: ClassVar[timedelta] = timedelta(seconds=8)
    actions: ClassVar[Mapping[str, StepAction]]

    def on_turning_back(self, saga_id: UUID) -> None:
        """Do at once what helps when a saga turns back, in its transaction; the steps are taken back one by one."""


class UnknownSagaError(LookupError):
    """No saga kind of that name is registered in this process."""


_KINDS: dict[str, SagaKind] = {}


def add_saga_kind(kind: SagaKind) -> None:
    _KINDS[kind.name] = kind


def get_saga_kind(name: str) -> SagaKind:
    try:
        return _KINDS[name]
    except KeyError:
        raise UnknownSagaError(f"no saga kind called {name!r}") from None
