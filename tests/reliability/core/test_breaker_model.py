"""The machine against a model that is slow and plain: it keeps every event and thinks anew each time."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reliability.core.breaker import Breaker, BreakerSettings, Outcome, PinnedState, PinOrder

LIMITS = BreakerSettings(
    failure_threshold=3,
    success_threshold=2,
    cooldown_seconds=2,
    volume_threshold=4,
    error_threshold_percentage=60,
    half_open_limit_seconds=4,
    window_seconds=5,
    slow_call_seconds=1,
    slow_call_percentage=75,
    probe_lease_seconds=1,
)


@dataclass
class Model:
    """A breaker told as a story: when it was opened, which calls were heard of, who holds a permit until when."""

    version: int = 0
    mode: str = "closed"
    since: int = 0
    last_win: int = 0
    wins: int = 0
    calls: list[tuple[int, str]] = field(default_factory=list)  # (instant, ok | bad | slow)
    permits: list[tuple[str, int]] = field(default_factory=list)
    pin: str = ""
    pin_end: int | None = None

    def become(self, mode: str, now: int) -> None:
        self.version += 1
        self.mode, self.since, self.last_win, self.wins, self.permits = mode, now, now, 0, []
        if mode == "closed":
            self.calls = []

    def pass_time(self, now: int) -> None:
        if self.pin and self.pin_end is not None and self.pin_end <= now:
            self.end_pin(now)

    def end_pin(self, now: int) -> None:
        after = "half_open" if self.pin == "forced_open" else "closed"
        self.pin, self.pin_end, self.calls = "", None, []
        self.become(after, now)

    def ask(self, now: int, who: str) -> bool:
        self.pass_time(now)
        if self.pin:
            return self.pin != "forced_open"
        if self.mode == "closed":
            return True
        if self.mode == "open":
            if now < self.since + 2000:
                return False
            self.become("half_open", now)
        self.permits = [(holder, end) for holder, end in self.permits if end > now]
        if now >= self.last_win + 4000 and (self.permits or not self.wins):
            self.become("open", now)
            return False
        if len(self.permits) == 2:
            return False
        self.permits.append((who, now + 1000))
        return True

    def hear(self, now: int, version: int, kinds: list[str]) -> None:
        self.pass_time(now)
        if version != self.version or self.mode != "closed" or self.pin in ("forced_open", "disabled"):
            return
        self.calls += [(now, kind) for kind in kinds]
        recent = [kind for at, kind in self.calls if at // 500 > now // 500 - 10]
        row = 0
        for _, kind in self.calls:
            row = row + 1 if kind == "bad" else 0
        share = lambda kind: 100 * recent.count(kind) / len(recent)  # noqa: E731
        enough = len(recent) >= 4
        if not self.pin and (row >= 3 or (enough and (share("bad") >= 60 or share("slow") >= 75))):
            self.become("open", now)

    def conclude(self, now: int, version: int, who: str, outcome: Outcome) -> None:
        self.pass_time(now)
        held = [end for holder, end in self.permits if holder == who]
        if version != self.version or self.mode != "half_open" or not held:
            return
        self.permits = [(holder, end) for holder, end in self.permits if holder != who]
        if held[0] <= now or outcome is Outcome.INCONCLUSIVE:
            return
        if outcome is Outcome.FAILURE:
            self.become("open", now)
            return
        self.wins, self.last_win = self.wins + 1, now
        if self.wins == 2:
            self.become("closed", now)


class BreakerAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.model = Breaker(LIMITS), Model()
        self.now, self.asked = 10_000_000, 0
        self.probes: list[tuple[str, int]] = []

    @rule(ms=st.one_of(st.integers(0, 700), st.sampled_from([1000, 2000, 4000, 5000])))
    def wait(self, ms: int) -> None:
        self.now += ms

    @rule()
    def ask(self) -> None:
        self.asked += 1
        admission = self.breaker.admit(self.now, str(self.asked))
        assert admission.is_granted == self.model.ask(self.now, str(self.asked))
        if admission.is_probe:
            self.probes.append((str(self.asked), self.breaker.version))

    @rule(kinds=st.lists(st.sampled_from(["ok", "slow"]), max_size=3), bad=st.integers(0, 3), old=st.booleans())
    def hear(self, kinds: list[str], bad: int, old: bool) -> None:
        version = self.breaker.version - (1 if old else 0)
        self.breaker.record(self.now, version, len(kinds), bad, kinds.count("slow"))
        self.model.hear(self.now, version, kinds + ["bad"] * bad)

    @rule(outcome=st.sampled_from(list(Outcome)), data=st.data())
    def conclude(self, outcome: Outcome, data: st.DataObject) -> None:
        if self.probes:
            token, version = data.draw(st.sampled_from(self.probes))
            self.breaker.report(self.now, version, token, outcome)
            self.model.conclude(self.now, version, token, outcome)

    @rule(state=st.sampled_from(list(PinnedState)), lasts=st.sampled_from([None, 100, 1500]))
    def pin(self, state: PinnedState, lasts: int | None) -> None:
        end = None if lasts is None else self.now + lasts
        self.breaker.set_pin(self.now, PinOrder(state, end))
        self.model.pass_time(self.now)
        self.model.become("closed", self.now)
        self.model.pin, self.model.pin_end = state.value, end

    @rule()
    def unpin(self) -> None:
        self.breaker.remove_pin(self.now)
        self.model.pass_time(self.now)
        if self.model.pin:
            self.model.end_pin(self.now)

    @rule()
    def reset(self) -> None:
        self.breaker.reset(self.now)
        self.model.pass_time(self.now)
        self.model.become("closed", self.now)

    @invariant()
    def they_agree(self) -> None:
        assert self.breaker.effective_state.value == (self.model.pin or self.model.mode)
        assert self.breaker.version == self.model.version

    @invariant()
    def no_more_probes_than_permits(self) -> None:
        live = [until for until in self.breaker.probes.values() if until > self.now]
        assert len(live) <= LIMITS.success_threshold


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
TestBreakerAgainstModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
