"""The script in the store and the machine of the core are one and the same machine."""

from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reliability.conf import get_conf
from reliability.core.breaker import Breaker, BreakerSettings, Counts, Outcome, PinnedState, PinOrder
from reliability.services.circuits.store import Answer, Step, connect, encode_settings, keys, run_steps

VARIANTS = (
    BreakerSettings(
        failure_threshold=3,
        success_threshold=2,
        cooldown_seconds=2,
        volume_threshold=4,
        half_open_limit_seconds=4,
        window_seconds=5,
        slow_call_seconds=1,
        slow_call_percentage=75,
        probe_lease_seconds=5,
        cooldown_multiplier=1.7,
        cooldown_max_seconds=7,
    ),
    BreakerSettings(
        failure_threshold=2,
        success_threshold=1,
        quorum=2,
        window_seconds=1,
        cooldown_seconds=0.5,
        probe_lease_seconds=1,
    ),
    BreakerSettings(failure_threshold=50, volume_threshold=3, error_threshold_percentage=33.4, window_seconds=3),
)


class ScriptAgainstMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.client = connect(get_conf().redis_url, 5.0)
        self.name, self.generation = f"model {uuid4().hex} {{odd}}", uuid4().hex
        self.now, self.asked, self.edition = 1_700_000_000_000, 0, 1
        self.probes: list[tuple[str, int]] = []
        self.changes: list[tuple[int, str, str, str, Counts]] = []

    def step(self, operation: str, *arguments: str | int) -> Answer:
        found = run_steps(self.client, [Step(self.name, operation, arguments)], "p", self.now)[0]
        assert isinstance(found, Answer), found
        for change in found.changes:
            self.changes.append((change.version, change.from_state, change.to_state, change.cause, change.counts))
        return found

    @initialize(limits=st.sampled_from(VARIANTS))
    def create(self, limits: BreakerSettings) -> None:
        self.machine = Breaker(limits)
        self.step("create", self.generation, encode_settings(limits), self.edition, "", "", "", "")

    @rule(ms=st.one_of(st.integers(0, 700), st.sampled_from([1000, 2000, 4000, 5000, 10_000])), back=st.booleans())
    def wait(self, ms: int, back: bool) -> None:
        self.now += -ms if back and ms < 300 else ms

    @rule()
    def ask(self) -> None:
        self.asked += 1
        token = f"t{self.asked}"
        expected, answer = self.machine.admit(self.now, token), self.step("admit", token)
        assert (answer.is_granted, answer.is_probe) == (expected.is_granted, expected.is_probe)
        if not expected.is_granted:
            assert answer.wait_ms == expected.wait_ms
        if expected.is_probe:
            self.probes.append((token, self.machine.version))

    @rule(
        successes=st.integers(0, 3),
        failures=st.integers(0, 3),
        slow=st.integers(0, 3),
        host=st.sampled_from("ab"),
        old=st.booleans(),
        age=st.sampled_from([0, 1, 500]),
    )
    def count(self, successes: int, failures: int, slow: int, host: str, old: bool, age: int = 0) -> None:
        version = self.machine.version - (1 if old else 0)
        slow = min(slow, successes + failures)
        alone = self.machine.record(self.now, version, successes, failures, slow, host, age)
        answer = self.step("record", self.generation, version, successes, failures, slow, host, age)
        assert answer.alone == (alone or "")

    @rule()
    def count_of_another_generation(self) -> None:
        self.step("record", "elsewhere", self.machine.version, 0, 100, 0, "a")
        self.machine.settle(self.now)

    @rule(outcome=st.sampled_from(list(Outcome)), data=st.data())
    def conclude(self, outcome: Outcome, data: st.DataObject) -> None:
        if self.probes:
            self.conclude_one(data.draw(st.integers(0, len(self.probes) - 1)), outcome)

    def conclude_one(self, number: int, outcome: Outcome) -> None:
        token, version = self.probes[number]
        self.machine.report(self.now, version, token, outcome)
        self.step("report", self.generation, version, token, outcome.value)

    @rule()
    def hear_life(self) -> None:
        self.machine.hear_life(self.now)
        self.step("life")

    @rule(state=st.sampled_from(list(PinnedState)), lasts=st.sampled_from([None, 100, 1500]))
    def pin(self, state: PinnedState, lasts: int | None) -> None:
        self.machine.set_pin(self.now, PinOrder(state, None if lasts is None else self.now + lasts))
        self.step("pin", "", state.value, "" if lasts is None else lasts, "ann", "a reason, é")

    @rule()
    def unpin(self) -> None:
        self.machine.remove_pin(self.now)
        self.step("unpin", "", "")

    @rule()
    def reset(self) -> None:
        self.machine.reset(self.now)
        self.step("reset", "")

    @rule(limits=st.sampled_from(VARIANTS))
    def configure(self, limits: BreakerSettings) -> None:
        self.edition += 1
        self.machine.settle(self.now)
        self.machine.configure(limits)
        self.step("configure", self.edition, encode_settings(limits))

    @rule(left=st.sampled_from([0, 1, 700, 100_000]))
    def restore(self, left: int) -> None:
        self.machine.restore_opening(self.now, left)
        self.step("restore", self.generation, left, "")

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "machine"):
            return
        self.machine.settle(self.now)
        answer = self.step("read", -1)
        assert answer.raw is not None
        assert (answer.state, answer.version) == (self.machine.effective_state, self.machine.version)
        assert answer.wait_ms == self.machine.remaining_ms(self.now)
        counts = self.machine.counts(self.now)
        assert answer.raw["counts"] == {key: getattr(counts, key) for key in counts.__dataclass_fields__}
        assert (answer.raw["wins"], answer.raw["openings"]) == (self.machine.successes, self.machine.openings)
        assert answer.raw["probes"] == sum(until > self.now for until in self.machine.probes.values())
        expected = [
            (change.version, change.from_state, change.to_state, change.cause.value, change.counts)
            for change in self.machine.take_changes()
        ]
        assert self.changes == expected
        self.changes.clear()

    def teardown(self) -> None:
        self.client.delete(*keys(self.name))
        self.client.close()


TestScriptAgainstMachine = ScriptAgainstMachine.TestCase
TestScriptAgainstMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


SUCCESS, FAILURE = Outcome.SUCCESS, Outcome.FAILURE
HALF_OPEN = ("fail", "fail", "fail", 2000, "ask")  # under the first limits: its first probe is out
STORIES = {
    "a cooldown that ends now": ("fail", "fail", "fail", 1999, "ask", 1, "ask"),
    "a lease that ends now": (*HALF_OPEN, "ask", 5000, (0, SUCCESS), "ask"),
    "a lease that ends next": (*HALF_OPEN, "ask", 1000, (1, SUCCESS), 3999, (0, SUCCESS), "ask"),
    "the limit of half-open, now": (*HALF_OPEN, 4000, "ask"),
    "the limit of half-open, next": (*HALF_OPEN, 3999, "ask"),
    "the limit after a success, one probe out": (*HALF_OPEN, "ask", (0, SUCCESS), 4000, "ask"),
    "the limit after a success, none out": (*HALF_OPEN, (0, SUCCESS), 9000, "ask", "ask", (1, SUCCESS)),
    "a second opening lasts longer": (*HALF_OPEN, (0, FAILURE), 2000, "ask", 1399, "ask", 1, "ask"),
    "a recovery forgets": (*HALF_OPEN, "ask", (0, SUCCESS), (1, SUCCESS), "fail", "fail", 500, "fail", 2000, "ask"),
}


@pytest.mark.parametrize("story", STORIES)
def test_on_the_last_millisecond_they_agree_too(story: str) -> None:
    pair = ScriptAgainstMachine()
    pair.create(VARIANTS[0])
    for event in STORIES[story]:
        if isinstance(event, int):
            pair.wait(event, back=False)
        elif isinstance(event, tuple):
            pair.conclude_one(*event)
        elif event == "ask":
            pair.ask()
        else:
            pair.count(0, 1, 0, "a", old=False)
        pair.they_agree()
    pair.teardown()
