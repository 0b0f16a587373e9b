"""The circuit breaker as a pure state machine: no clock, no randomness, no store.

Every process of an installation acts on one shared copy of this machine, which a script in
Redis executes (``reliability/services/circuits/circuit.lua``); a process that cannot reach it
runs a copy of its own. Instants are integer milliseconds of whichever clock the owner of the
machine has, and only differences between them matter.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from reliability.core.breaker_settings import BreakerSettings as BreakerSettings

REFUSED_PROBE_WAIT_MS = 20
SIGN_OF_LIFE_WAIT_MS = 1000
_MOST_DOUBLINGS = 64


class BreakerState(StrEnum):
    """What the outcomes of calls have made of the breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class PinnedState(StrEnum):
    """What a person has made of it: refuse all, allow all, or count without ever opening."""

    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"


CircuitState = BreakerState | PinnedState


def parse_state(text: str) -> CircuitState:
    """Return the state called ``text``; ValueError if there is none."""
    return PinnedState(text) if text in PinnedState._value2member_map_ else BreakerState(text)


class Outcome(StrEnum):
    """What a probe has shown. ``INCONCLUSIVE``: nothing, for example because it was cancelled."""

    SUCCESS = "success"
    FAILURE = "failure"
    INCONCLUSIVE = "inconclusive"


class Cause(StrEnum):
    """Why the state changed."""

    CONSECUTIVE_FAILURES = "consecutive_failures"
    ERROR_RATE = "error_rate"
    SLOW_CALLS = "slow_calls"
    COOLDOWN_OVER = "cooldown_over"
    SIGN_OF_LIFE = "sign_of_life"
    PROBE_FAILED = "probe_failed"
    PROBES_SUCCEEDED = "probes_succeeded"
    HALF_OPEN_LIMIT = "half_open_limit"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    PIN_EXPIRED = "pin_expired"
    RESET = "reset"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls of the window: ``slow`` ones are also among the successes and failures."""

    successes: int = 0
    failures: int = 0
    slow: int = 0
    consecutive_failures: int = 0

    @property
    def calls(self) -> int:
        return self.successes + self.failures


@dataclass(frozen=True, slots=True)
class PinOrder:
    """A pinned state; ``until_ms`` None stays until it is removed."""

    state: PinnedState
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the effective state; ``version`` is the one it led to."""

    version: int
    from_state: CircuitState
    to_state: CircuitState
    cause: Cause
    counts: Counts
    at_ms: int


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a call may go. ``wait_ms``: how long asking again is pointless, None for ever.

    ``is_probe``: the token now holds a lease and its outcome must be reported.
    """

    is_granted: bool
    is_probe: bool
    state: CircuitState
    wait_ms: int | None = 0


@dataclass(slots=True)
class Breaker:
    """A breaker's whole state. Every method takes the present instant and may append to ``changes``."""

    settings: BreakerSettings = field(default_factory=BreakerSettings)
    state: BreakerState = BreakerState.CLOSED
    version: int = 0
    opened_ms: int = 0
    proving_ms: int = 0  # since when half-open waits for a success
    successes: int = 0  # of probes
    openings: int = 0  # since it was last closed
    consecutive_failures: int = 0
    failed_ms: int = 0  # the last failure
    window: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # bucket -> successes, failures, slow
    probes: dict[str, int] = field(default_factory=dict)  # token -> end of its lease
    failing_hosts: dict[str, int] = field(default_factory=dict)  # host -> its last failure
    pin: PinOrder | None = None
    changes: list[Change] = field(default_factory=list)

    @property
    def effective_state(self) -> CircuitState:
        return self.pin.state if self.pin else self.state

    def take_changes(self) -> list[Change]:
        """Return the changes since the last time, oldest first."""
        taken, self.changes = self.changes, []
        return taken

    def counts(self, now_ms: int) -> Counts:
        """Return what the window holds at this instant."""
        current = now_ms // self.settings.bucket_ms
        live = [values for bucket, values in self.window.items() if current - 10 < bucket <= current]
        totals = [sum(column) for column in zip(*live, strict=True)] or [0, 0, 0]
        return Counts(totals[0], totals[1], totals[2], self.consecutive_failures)

    def remaining_ms(self, now_ms: int) -> int | None:
        """Return how long calls are refused at least, or a permissive pin lasts; None for ever."""
        if self.pin:
            return None if self.pin.until_ms is None else max(0, self.pin.until_ms - now_ms)
        if self.state is BreakerState.OPEN:
            return max(0, min(self.cooldown_ms, self.opened_ms + self.cooldown_ms - now_ms))
        return 0

    @property
    def cooldown_ms(self) -> int:
        """How long this opening lasts: grows with each opening that no recovery came between."""
        doublings = min(max(0, self.openings - 1), _MOST_DOUBLINGS)
        grown: float = self.settings.cooldown_ms * self.settings.cooldown_multiplier**doublings
        return int(min(grown, max(self.settings.cooldown_ms, self.settings.cooldown_max_ms)))

    # What calls do

    def admit(self, now_ms: int, token: str) -> Admission:
        """Decide on one call; in half-open, a grant leases one of the permits to ``token``."""
        self.settle(now_ms)
        if self.pin:
            refused = self.pin.state is PinnedState.FORCED_OPEN
            return Admission(not refused, False, self.pin.state, self.remaining_ms(now_ms))
        if self.state is BreakerState.CLOSED:
            return Admission(True, False, self.state)
        if self.state is BreakerState.OPEN:
            left = self.remaining_ms(now_ms)
            if left:
                return Admission(False, False, self.state, left)
            self._begin_proving(now_ms, Cause.COOLDOWN_OVER)
        return self._admit_probe(now_ms, token)

    def _admit_probe(self, now_ms: int, token: str) -> Admission:
        self.probes = {held: until for held, until in self.probes.items() if until > now_ms}
        is_idle_and_well = self.successes > 0 and not self.probes
        if now_ms - self.proving_ms >= self.settings.half_open_limit_ms and not is_idle_and_well:
            self._open(now_ms, Cause.HALF_OPEN_LIMIT)
            return Admission(False, False, self.state, self.cooldown_ms)
        if len(self.probes) >= self.settings.success_threshold:
            return Admission(False, False, self.state, REFUSED_PROBE_WAIT_MS)
        self.probes[token] = now_ms + self.settings.probe_lease_ms
        return Admission(True, True, self.state)

    def record(
        self,
        now_ms: int,
        version: int,
        successes: int,
        failures: int,
        slow: int = 0,
        host: str = "",
        success_age_ms: int = 0,
    ) -> Cause | None:
        """Count calls that were admitted while closed, successes first; open if a rule says so.

        ``version`` is the one under which they were admitted: of any other they count for nothing.
        The last success was ``success_age_ms`` ago: before the last failure, it ends no row of failures.

        Returns:
            The rule that demands opening but lacks the quorum of hosts: the caller opens alone.
        """
        self.settle(now_ms)
        is_counting = not self.pin or self.pin.state is PinnedState.METRICS_ONLY
        if version != self.version or self.state is not BreakerState.CLOSED or not is_counting:
            return None
        if successes and now_ms - success_age_ms >= self.failed_ms:
            self.consecutive_failures = 0
        self._count(now_ms, successes, failures, slow, host)
        cause = self._verdict(now_ms)
        if cause is None or self.pin:
            return None
        if len(self.failing_hosts) < self.settings.quorum:
            return cause
        self._open(now_ms, cause)
        return None

    def _count(self, now_ms: int, successes: int, failures: int, slow: int, host: str) -> None:
        current = now_ms // self.settings.bucket_ms
        self.window = {bucket: values for bucket, values in self.window.items() if current - 10 < bucket <= current}
        before = self.window.get(current, (0, 0, 0))
        self.window[current] = (before[0] + successes, before[1] + failures, before[2] + slow)
        self.consecutive_failures += failures
        self.failed_ms = now_ms if failures else self.failed_ms
        earliest = now_ms - self.settings.window_ms
        self.failing_hosts = {name: at for name, at in self.failing_hosts.items() if at > earliest}
        if failures or slow:
            self.failing_hosts[host] = now_ms

    def _verdict(self, now_ms: int) -> Cause | None:
        counts, settings = self.counts(now_ms), self.settings
        if counts.consecutive_failures >= settings.failure_threshold:
            return Cause.CONSECUTIVE_FAILURES
        if counts.calls < settings.volume_threshold:
            return None
        if 100 * counts.failures >= settings.error_threshold_percentage * counts.calls:
            return Cause.ERROR_RATE
        if settings.slow_call_ms is not None and 100 * counts.slow >= settings.slow_call_percentage * counts.calls:
            return Cause.SLOW_CALLS
        return None

    def report(self, now_ms: int, version: int, token: str, outcome: Outcome) -> None:
        """Take a probe's outcome; one whose lease is over, or of another version, changes nothing."""
        self.settle(now_ms)
        if version != self.version or self.state is not BreakerState.HALF_OPEN or self.pin:
            return
        if self.probes.pop(token, now_ms) <= now_ms:
            return
        if outcome is Outcome.FAILURE:
            self._open(now_ms, Cause.PROBE_FAILED)
        elif outcome is Outcome.SUCCESS:
            self.successes += 1
            self.proving_ms = now_ms
            if self.successes >= self.settings.success_threshold:
                self._close(now_ms, Cause.PROBES_SUCCEEDED)

    def hear_life(self, now_ms: int) -> None:
        """Let probes decide before the cooldown is over: the dependency answered another kind of question.

        Each opening in vain doubles the least time before that, so that a dependency which answers
        questions but fails at this kind of call is not probed all the time.
        """
        self.settle(now_ms)
        doublings = min(max(0, self.openings - 1), _MOST_DOUBLINGS)
        earliest = min(SIGN_OF_LIFE_WAIT_MS * 2**doublings, self.cooldown_ms)
        if not self.pin and self.state is BreakerState.OPEN and now_ms - self.opened_ms >= earliest:
            self._begin_proving(now_ms, Cause.SIGN_OF_LIFE)

    # What people do

    def set_pin(self, now_ms: int, pin: PinOrder) -> None:
        """Put a person's state above the breaker's own, which starts from nothing when the pin ends."""
        self.settle(now_ms)
        before = self.effective_state
        self._forget()
        self.state, self.pin = BreakerState.CLOSED, pin
        self._changed(now_ms, before, Cause.PINNED, Counts())

    def remove_pin(self, now_ms: int) -> None:
        """End a pin: after forced open, probes decide; after the others it is closed. No pin, no change."""
        self.settle(now_ms)
        if self.pin:
            self._end_pin(now_ms, Cause.UNPINNED)

    def reset(self, now_ms: int) -> None:
        """Close it and forget all counts; a pin stays."""
        self.settle(now_ms)
        counts, before = self.counts(now_ms), self.effective_state
        self._forget()
        self.state = BreakerState.CLOSED
        self._changed(now_ms, before, Cause.RESET, counts)

    def configure(self, settings: BreakerSettings) -> None:
        """Go on under other settings; the window starts anew if its length changes."""
        if settings.window_ms != self.settings.window_ms:
            self.window = {}
        self.settings = settings

    def restore_opening(self, now_ms: int, remaining_ms: int) -> None:
        """Open a closed breaker for the rest of a cooldown that another copy had begun."""
        self.settle(now_ms)
        if self.pin or self.state is not BreakerState.CLOSED or remaining_ms <= 0:
            return
        self._open(now_ms, Cause.RESTORED)
        self.opened_ms = now_ms + min(remaining_ms, self.cooldown_ms) - self.cooldown_ms

    def trip(self, now_ms: int, cause: Cause) -> None:
        """Open it for a reason found elsewhere, unless it is open or pinned."""
        self.settle(now_ms)
        if not self.pin and self.state is not BreakerState.OPEN:
            self._open(now_ms, cause)

    def settle(self, now_ms: int) -> None:
        """Do what time alone brings: a pin's end, and a clock that was set back."""
        self.opened_ms, self.proving_ms = min(self.opened_ms, now_ms), min(self.proving_ms, now_ms)
        self.failed_ms = min(self.failed_ms, now_ms)
        if self.pin and self.pin.until_ms is not None and self.pin.until_ms <= now_ms:
            self._end_pin(now_ms, Cause.PIN_EXPIRED)

    # Transitions

    def _open(self, now_ms: int, cause: Cause) -> None:
        before, counts = self.effective_state, self.counts(now_ms)
        self.state, self.opened_ms = BreakerState.OPEN, now_ms
        self.openings += 1
        self.probes, self.successes = {}, 0
        self._changed(now_ms, before, cause, counts)

    def _begin_proving(self, now_ms: int, cause: Cause) -> None:
        before, counts = self.effective_state, self.counts(now_ms)
        self.state, self.proving_ms = BreakerState.HALF_OPEN, now_ms
        self.probes, self.successes = {}, 0
        self._changed(now_ms, before, cause, counts)

    def _close(self, now_ms: int, cause: Cause) -> None:
        before, counts = self.effective_state, self.counts(now_ms)
        self._forget()
        self.state = BreakerState.CLOSED
        self._changed(now_ms, before, cause, counts)

    def _end_pin(self, now_ms: int, cause: Cause) -> None:
        before, counts = self.effective_state, self.counts(now_ms)
        self._forget()
        self.pin = None
        if before is PinnedState.FORCED_OPEN:
            self.state, self.proving_ms = BreakerState.HALF_OPEN, now_ms
        self._changed(now_ms, before, cause, counts)

    def _forget(self) -> None:
        self.window, self.probes, self.failing_hosts = {}, {}, {}
        self.consecutive_failures = self.failed_ms = self.openings = self.successes = 0

    def _changed(self, now_ms: int, before: CircuitState, cause: Cause, counts: Counts) -> None:
        self.version += 1
        self.changes.append(Change(self.version, before, self.effective_state, cause, counts, now_ms))
