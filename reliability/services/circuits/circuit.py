"""One circuit in one process: closed and open are decided here, without asking anybody."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from reliability.core.breaker import BreakerSettings, BreakerState, Cause, CircuitState, Outcome, PinnedState
from reliability.services.circuits.fallback import LocalBreaker
from reliability.services.circuits.link import AsyncWaiter, Waiter
from reliability.services.circuits.permits import CountingPermit, Permit, ProbePermit
from reliability.services.circuits.store import Answer, Step, encode_settings
from reliability.services.circuits.values import CircuitOpenError, Pin

if TYPE_CHECKING:
    from reliability.services.circuits.runtime import Runtime

T = TypeVar("T")
Counts = Callable[[Exception], bool]
_FOREVER = float("inf")
_NEXT_LOOK_SECONDS = 60.0
_UNCOUNTED = Permit()
_PASSING = frozenset({BreakerState.CLOSED, PinnedState.DISABLED, PinnedState.METRICS_ONLY})


def is_failure(error: Exception) -> bool:
    """Count every exception as a failure of the dependency."""
    return True


class Circuit:
    """The circuit called ``name``; get it from ``get_circuit``.

    Safe in threads, in coroutines and across forks. ``_ready`` is the permit of all calls while
    calls pass freely, and None otherwise; ``_view`` says until when asking is pointless.
    """

    def __init__(self, name: str, runtime: Runtime) -> None:
        self.name = name
        self._runtime = runtime
        self.settings = BreakerSettings()
        self.settings_version = -1
        self.slow_seconds = _FOREVER
        self.restart()

    def restart(self) -> None:
        """Know nothing of the shared state: at birth, and in the child of a fork."""
        self._lock = threading.RLock()
        self._ready: Permit | None = None
        self._view: tuple[CircuitState, float] = (BreakerState.CLOSED, 0.0)
        self.generation, self.version = "", -1
        self._pin: dict[str, Any] | None = None
        self._local = LocalBreaker(self.name, self.settings)
        self._is_local = False  # what is in force was decided by this process alone
        self._is_alone = False  # too few hosts see the failures: it stays so until the own breaker closes

    # Asking

    @property
    def state(self) -> CircuitState:
        """The state as this process knows it; closed until it is first asked."""
        return self._view[0]

    def wait_seconds(self) -> float:
        """Return how long a call would be refused now, 0 if it may be tried; takes no permit, asks nobody.

        Always finite: what is pinned without an end is worth another look after a minute.
        """
        if self._ready is not None:
            return 0.0
        if self.version < 0:
            self._runtime.warm()
        remaining = max(0.0, self._view[1] - monotonic())
        return _NEXT_LOOK_SECONDS if remaining == _FOREVER else remaining

    def remaining_seconds(self) -> float | None:
        """Return until when the state holds at least, as this process knows it; None for ever."""
        remaining = max(0.0, self._view[1] - monotonic())
        return None if remaining == _FOREVER else remaining

    def admit(self) -> Permit:
        """Return leave for one call. In half-open this asks the store, at most some 50 ms.

        Raises:
            CircuitOpenError: not now; ``retry_after_seconds`` says when.
        """
        ready = self._ready
        if ready is not None:
            return ready
        state, deadline = self._view
        remaining = deadline - monotonic()
        if remaining > 0:  # decided here: each frame a refusal passes costs a tenth of it
            raise CircuitOpenError(self.name, state, remaining)
        step = self._request()
        return self._judge(step, self._exchange(step))

    async def admit_async(self) -> Permit:
        """As ``admit``, without blocking the event loop."""
        ready = self._ready
        if ready is not None:
            return ready
        state, deadline = self._view
        remaining = deadline - monotonic()
        if remaining > 0:
            raise CircuitOpenError(self.name, state, remaining)
        step = self._request()
        return self._judge(step, await self._exchange_async(step))

    def call(self, fn: Callable[..., T], *args: Any, counts: Counts = is_failure) -> T:
        """Call ``fn`` if the circuit lets it.

        An exception that ``counts`` accepts is a failure; one that it denies shows a dependency
        that works, such as a business refusal. What ends the program says nothing.
        """
        permit = self.admit()
        began = monotonic()
        try:
            result = fn(*args)
        except Exception as error:
            if counts(error):
                permit.fail(monotonic() - began)
            else:
                permit.succeed(monotonic() - began)
            raise
        except BaseException:
            permit.release()
            raise
        permit.succeed(monotonic() - began)
        return result

    async def call_async(self, fn: Callable[..., Awaitable[T]], *args: Any, counts: Counts = is_failure) -> T:
        """As ``call``, for coroutines; a cancelled call says nothing."""
        permit = await self.admit_async()
        began = monotonic()
        try:
            result = await fn(*args)
        except Exception as error:
            if counts(error):
                await permit.fail_async(monotonic() - began)
            else:
                permit.succeed(monotonic() - began)
            raise
        except BaseException:
            permit.release()
            raise
        permit.succeed(monotonic() - began)
        return result

    def _request(self) -> Step:
        """Return the step that asks the store for leave."""
        return Step(self.name, "admit", (uuid4().hex,), self.settings_version)

    def _judge(self, step: Step, answer: Answer | None) -> Permit:
        token = str(step.arguments[0])
        if answer is None or self._is_alone:
            return self._admit_locally(token)
        if answer.is_probe:
            return ProbePermit(self, answer.generation, answer.version, token, is_local=False)
        if answer.is_granted:
            return self._ready or self._counting(answer.generation, answer.version)
        state, deadline = self._view
        raise CircuitOpenError(self.name, answer.state, deadline - monotonic() if state is answer.state else 0.0)

    def _admit_locally(self, token: str) -> Permit:
        with self._lock:
            admission = self._local.admit(token)
            self._is_local = True
            self._follow_local(admission.wait_ms)
            if admission.is_probe:
                return ProbePermit(self, self.generation, self.version, token, is_local=True)
            if admission.is_granted:
                return self._ready or _UNCOUNTED
            wait = admission.wait_ms
        raise CircuitOpenError(self.name, admission.state, None if wait is None else wait / 1000)

    # Outcomes

    def count_failure(self, permit: CountingPermit, slow: int) -> None:
        step = self._record(permit, 1, slow)
        if self._exchange(step) is None:
            self._count_locally(permit, step)

    async def count_failure_async(self, permit: CountingPermit, slow: int) -> None:
        step = self._record(permit, 1, slow)
        if await self._exchange_async(step) is None:
            self._count_locally(permit, step)

    def report(self, permit: ProbePermit, outcome: Outcome) -> None:
        """Hand on a probe's outcome without waiting; a lost report leaves a lease that ends."""
        if permit.is_local or not self._is_linked():
            self._report_locally(permit, outcome)
        else:
            self._runtime.link.submit(self._report(permit, outcome))

    def hear_life(self) -> None:
        """Tell an open circuit that its dependency answered another kind of question; does not wait.

        Probes may then decide before the cooldown is over.
        """
        if self.state is not BreakerState.OPEN:
            return
        if self._is_linked():
            self._runtime.link.submit(Step(self.name, "life", (), self.settings_version))
            return
        with self._lock:
            self._local.hear_life()
            self._follow_local()

    def report_failure(self, permit: ProbePermit) -> None:
        if permit.is_local or self._exchange(self._report(permit, Outcome.FAILURE)) is None:
            self._report_locally(permit, Outcome.FAILURE)

    async def report_failure_async(self, permit: ProbePermit) -> None:
        if permit.is_local or await self._exchange_async(self._report(permit, Outcome.FAILURE)) is None:
            self._report_locally(permit, Outcome.FAILURE)

    def _record(self, permit: CountingPermit, failures: int, slow: int) -> Step:
        with self._lock:
            successes, slow_successes, age_ms = permit.take_successes()
        counts = (successes, failures, slow + slow_successes)
        arguments = (permit.generation, permit.version, *counts, self._runtime.host, age_ms)
        return Step(self.name, "record", arguments, self.settings_version)

    def _report(self, permit: ProbePermit, outcome: Outcome) -> Step:
        arguments = (permit.generation, permit.version, permit.token, outcome.value)
        return Step(self.name, "report", arguments, self.settings_version)

    def _count_locally(self, permit: CountingPermit, step: Step) -> None:
        with self._lock:
            if permit is self._ready:  # a call of an earlier state counts for nothing
                successes, failures, slow = (int(value) for value in step.arguments[2:5])
                self._local.record(successes, failures, slow)
                self._follow_local()

    def _report_locally(self, permit: ProbePermit, outcome: Outcome) -> None:
        with self._lock:
            if permit.is_local:
                self._local.report(permit.token, outcome)
            elif outcome is Outcome.FAILURE and self._is_current(permit.generation, permit.version):
                self._local.trip(Cause.PROBE_FAILED)
            self._follow_local()

    def _is_linked(self) -> bool:
        return self._runtime.link.is_up and not self._is_alone

    def _exchange(self, step: Step) -> Answer | None:
        if not self._is_linked():
            return None
        waiter, link = Waiter(), self._runtime.link
        link.submit(step, waiter)
        answer = waiter.wait(link.patience_seconds)
        if answer is None and step.operation == "admit":
            waiter.when_late(lambda late: self._give_back(step, late))
        return answer

    async def _exchange_async(self, step: Step) -> Answer | None:
        if not self._is_linked():
            return None
        waiter, link = AsyncWaiter(), self._runtime.link
        link.submit(step, waiter)
        answer = None
        try:
            answer = await waiter.wait(link.patience_seconds)
        finally:
            if answer is None and step.operation == "admit":
                waiter.when_late(lambda late: self._give_back(step, late))
        return answer

    def _give_back(self, step: Step, answer: Answer) -> None:
        """Return a permit that was granted when whoever asked for it had been cancelled, or had gone on alone."""
        if answer.is_probe:
            token = str(step.arguments[0])
            permit = ProbePermit(self, answer.generation, answer.version, token, is_local=False)
            self._runtime.link.submit(self._report(permit, Outcome.INCONCLUSIVE))

    # What the threads of the process do

    def pending(self) -> Step | None:
        """Return the step that hands on the successes counted since the last time, None without any."""
        ready = self._ready
        if not isinstance(ready, CountingPermit):
            return None
        step = self._record(ready, 0, 0)
        if not step.arguments[2]:
            return None
        if not self._is_linked():
            self._count_locally(ready, step)
            return None
        return step

    def knows(self) -> str:
        """Return what the store must have for nothing to be new here; blank when it must be read anyway."""
        has_expired_pin = self._ready is not None and self._view[1] <= monotonic() and self._pin is not None
        if has_expired_pin or (self._is_local and not self._is_alone):
            return ""
        return f"{self.generation} {self.version} {self.settings_version}"

    def expire_locally(self) -> None:
        """Let a pin end whose time is over while the store is away."""
        with self._lock:
            if self._pin is not None and self._local.settle():
                self._pin = None
                self._follow_local()

    def adopt(self, answer: Answer) -> Step | None:
        """Take what the store says; returns the step that tells it of an opening it has lost."""
        with self._lock:
            is_same = answer.generation == self.generation
            if is_same and answer.version < self.version:
                return None
            self._take_settings(answer)
            if self._is_alone and is_same and answer.state is BreakerState.CLOSED:
                return None
            remaining = self._view[1] - monotonic()
            is_lost = self.generation and not is_same and self.state is BreakerState.OPEN and remaining > 0
            lost_pin = self._lost_pin(answer)
            is_new = not self._is_current(answer.generation, answer.version) or self._is_local
            self.generation, self.version, self._pin = answer.generation, answer.version, answer.pin
            self._is_local = self._is_alone = False
            if lost_pin:
                return lost_pin
            if is_lost and answer.state is BreakerState.CLOSED:
                return Step(self.name, "restore", (answer.generation, int(remaining * 1000), ""), self.settings_version)
            self._see(answer.state, answer.wait_ms)
            if is_new:
                self._make_ready()
                self._local.start_from(answer.state, answer.wait_ms)
            return None

    def _lost_pin(self, answer: Answer) -> Step | None:
        """Return the step that puts the pin in force into a store that has lost it, None if there is no need."""
        kept = self._kept_pin()
        is_lost = self.generation and answer.generation != self.generation and answer.pin is None
        return Step(self.name, "keep", kept, self.settings_version) if is_lost and kept[0] else None

    def open_alone(self, cause: Cause) -> None:
        """Open in this process only: a rule demands it, but too few hosts see the failures."""
        with self._lock:
            if self.state is BreakerState.CLOSED:
                self._is_alone = True
                self._local.trip(cause)
                self._follow_local()

    def learn(self, settings: BreakerSettings, version: int, pin: Pin | None, lasts_ms: int | None) -> None:
        """Take what the durable record says, for as long as the store says nothing."""
        with self._lock:
            if version > self.settings_version:
                self.settings = settings
                self._use_settings()
            if self.version < 0 and pin is not None:
                self._local.start_from(pin.state, lasts_ms)
                self._pin = {"state": pin.state.value, "author": pin.author, "reason": pin.reason}
                self._see(pin.state, lasts_ms)
                self._make_ready()
                self._is_local = True

    def creation(self) -> tuple[str | int, ...]:
        """Return the arguments that make the circuit anew in an empty store: as it was last seen here."""
        with self._lock:
            left = self._view[1] - monotonic() if self.state is BreakerState.OPEN else 0
            kept = (*self._kept_pin(), max(0, int(left * 1000)))
            return encode_settings(self.settings), max(0, self.settings_version), *kept

    def _kept_pin(self) -> tuple[str | int, ...]:
        """Return state, rest of its time in ms, author and reason of the pin in force; blanks without one."""
        left = self._view[1] - monotonic()
        if self._pin is None or left <= 0:
            return "", "", "", ""
        lasts = "" if left == _FOREVER else max(1, int(left * 1000))
        return self._pin["state"], lasts, self._pin.get("author", ""), self._pin.get("reason", "")

    # What is in force; the caller holds the lock

    def _is_current(self, generation: str, version: int) -> bool:
        return generation == self.generation and version == self.version

    def _take_settings(self, answer: Answer) -> None:
        if answer.settings is not None and answer.settings_version != self.settings_version:
            self.settings, self.settings_version = answer.settings, answer.settings_version
            self._use_settings()

    def _use_settings(self) -> None:
        slow = self.settings.slow_call_seconds
        self.slow_seconds = _FOREVER if slow is None else slow
        self._local.configure(self.settings)
        if isinstance(self._ready, CountingPermit):
            self._ready.slow_seconds = self.slow_seconds

    def _see(self, state: CircuitState, wait_ms: int | None) -> None:
        self._view = (state, _FOREVER if wait_ms is None else monotonic() + wait_ms / 1000)
        if state not in _PASSING:
            self._ready = None
        elif self._ready is None:
            self._make_ready()

    def _make_ready(self) -> None:
        if self.state is PinnedState.DISABLED:
            self._ready = _UNCOUNTED
        elif self.state in _PASSING:
            self._ready = self._counting(self.generation, self.version)

    def _counting(self, generation: str, version: int) -> CountingPermit:
        return CountingPermit(self, generation, version, self.slow_seconds)

    def _follow_local(self, wait_ms: int | None = 0) -> None:
        changes = self._local.take_changes(self._runtime.process)
        state = self._local.state
        self._see(state, wait_ms or self._local.wait_ms())
        if changes:
            self._is_local = True
            self._make_ready()
        if state is BreakerState.CLOSED:
            self._is_alone = False
        for change in changes:
            self._runtime.tell(change)
