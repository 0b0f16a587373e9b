"""Calls to a broker that fails, crawls or only says no, before the real circuit, retry and budget."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from heapq import heappop, heappush

from config.simulation.episodes import Episode, Finding, Scenario
from config.simulation.failures import answer
from reliability.core.breaker import Breaker, BreakerState, Cause, Outcome
from reliability.core.breaker_settings import BreakerSettings
from reliability.core.budget import BudgetPolicy, RetryBudget
from reliability.core.classification import ClassifiedError, Operation
from reliability.core.retry import next_delay, policy_for
from reliability.services.guarding.policy import CircuitEffect, circuit_effect

NEVER = 1_000_000
OUTAGES = ("unavailable", "server_error", "lost", "refused_connection", "read_timeout", "html")
REFUSALS = ("insufficient_funds", "market_closed", "wash_trade", "invalid_order", "throttled")


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it ends, how long it took, and the failure that ended it, None for an answer."""

    ends: float
    seconds: float
    error: ClassifiedError | None


@dataclass(slots=True)
class Watched:
    """A circuit with calls going through it: what it did, and when."""

    breaker: Breaker
    opened_at: float | None = None
    opened_by: str = ""
    closed_at: float | None = None
    let_through: int = 0

    def run(self, episode: Episode, calls: Iterator[Call]) -> None:
        """Send every call through the circuit; its version at the admission goes with its outcome."""
        under_way: list[tuple[float, int, Call, int, bool]] = []
        for number, call in enumerate(calls):
            began = call.ends - call.seconds
            while under_way and under_way[0][0] <= began:
                self._end(episode, *heappop(under_way)[1:])
            admission = self.breaker.admit(_ms(began), str(number))
            self._follow(episode)
            if not admission.is_granted:
                continue
            if self.breaker.state is BreakerState.OPEN:
                self.let_through += 1
            heappush(under_way, (call.ends, number, call, self.breaker.version, admission.is_probe))
        while under_way:
            self._end(episode, *heappop(under_way)[1:])

    def _end(self, episode: Episode, number: int, call: Call, version: int, is_probe: bool) -> None:
        effect = CircuitEffect.SUCCESS if call.error is None else circuit_effect(call.error)
        now = _ms(call.ends)
        if is_probe:
            named = {CircuitEffect.SUCCESS: Outcome.SUCCESS, CircuitEffect.FAILURE: Outcome.FAILURE}
            self.breaker.report(now, version, str(number), named.get(effect, Outcome.INCONCLUSIVE))
        elif effect is not CircuitEffect.NONE:
            limit = self.breaker.settings.slow_call_ms
            slow = int(limit is not None and call.seconds * 1000 >= limit)
            failed = int(effect is CircuitEffect.FAILURE)
            self.breaker.record(now, version, 1 - failed, failed, slow)
        self._follow(episode)

    def _follow(self, episode: Episode) -> None:
        for change in self.breaker.take_changes():
            at = change.at_ms / 1000
            episode.note(at, f"circuit {change.from_state} -> {change.to_state} ({change.cause})")
            if change.to_state is BreakerState.OPEN and self.opened_at is None:
                self.opened_at, self.opened_by = at, change.cause
            if change.to_state is BreakerState.CLOSED:
                self.closed_at = at


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _calls(
    episode: Episode, until: float, ends: Callable[[float], tuple[float, ClassifiedError | None]]
) -> Iterator[Call]:
    """Yield calls begun at an uneven pace of 12 to 40 a second; ``ends`` says how long each takes and how it ends."""
    gap, now = 1 / episode.random.uniform(12, 40), 0.0
    while now < until:
        now += gap * episode.random.uniform(0.5, 1.5)
        seconds, error = ends(now)
        yield Call(now + seconds, seconds, error)


def play_outage(episode: Episode) -> tuple[Finding, str]:
    """The broker fails from some moment on, wholly or for most calls; or it only refuses, often and in rows."""
    chance = episode.random
    begins, lasts = chance.uniform(3, 15), chance.uniform(12, 25)
    share = 1.0 if chance.random() < 0.5 else chance.uniform(0.75, 0.95)
    how, rare = chance.choice(OUTAGES), chance.uniform(0, 0.02)
    over = begins + lasts
    settings = BreakerSettings()
    if episode.is_blind:
        settings = BreakerSettings(failure_threshold=NEVER, volume_threshold=NEVER)
    if episode.is_eager:
        settings = BreakerSettings(failure_threshold=1)
    refused_in_rows = [chance.uniform(2, 30) for _ in range(3)]
    failed_in_a_row = [5.0 + 12 * turn for turn in range(3)]
    row_left = 0
    sick = [answer(how, Operation.SUBMIT, chance) for _ in range(4)]
    refusals = [answer(chance.choice(REFUSALS), Operation.SUBMIT, chance) for _ in range(6)]

    def ends(now: float) -> tuple[float, ClassifiedError | None]:
        nonlocal row_left
        quick = chance.uniform(0.005, 0.06)
        if episode.is_fault:
            failing = begins <= now < over and chance.random() < share
            return quick, chance.choice(sick) if failing else None
        if failed_in_a_row and now >= failed_in_a_row[0]:
            failed_in_a_row.pop(0)
            row_left = chance.randint(1, BreakerSettings().failure_threshold - 2)
        if row_left:  # fewer in a row than the threshold, among many that work
            row_left -= 1
            return quick, chance.choice(sick)
        if any(at <= now < at + 2 for at in refused_in_rows) or chance.random() < 0.2:
            return quick, chance.choice(refusals)
        slow_but_healthy = chance.uniform(0.2, 0.9) if chance.random() < rare else quick
        return slow_but_healthy, None

    circuit = Watched(Breaker(settings))
    episode.note(
        begins, f"truth: {how} for {share:.0%} of calls until {over:.1f} s" if episode.is_fault else "truth: healthy"
    )
    circuit.run(episode, _calls(episode, over + 45 if episode.is_fault else 45, ends))
    if not episode.is_fault:
        return Finding("circuit opened" if circuit.opened_at is not None else ""), ""
    broken = [f"{circuit.let_through} calls let through while open"] if circuit.let_through else []
    if circuit.opened_at is not None and (circuit.closed_at is None or circuit.closed_at > over + 40):
        broken.append("not closed again within 40 s of the recovery")
    if circuit.opened_at is not None and circuit.opened_at < begins:
        return Finding("circuit opened", None, ("opened before anything failed",)), "circuit opened"
    if circuit.opened_at is None:
        return Finding("", None, tuple(broken)), "circuit opened"
    # A part of the calls failing is told by its share of the last ten seconds: one of all calls by a row of five.
    allowed = 1.0 if share == 1.0 else 11.0
    late = circuit.opened_at - begins
    broken += [f"opened after {late:.2f} s, the limit is {allowed} s"] if late > allowed else []
    return Finding("circuit opened", late, tuple(broken)), "circuit opened"


def play_slow(episode: Episode) -> tuple[Finding, str]:
    """The broker answers, and most answers take longer than allowed; or a quarter of them does at most."""
    chance = episode.random
    begins = chance.uniform(3, 15)
    slow_share = chance.uniform(0.85, 1.0) if episode.is_fault else chance.uniform(0, 0.25)
    settings = BreakerSettings(slow_call_seconds=None if episode.is_blind else 0.05 if episode.is_eager else 1.0)

    def ends(now: float) -> tuple[float, ClassifiedError | None]:
        if (now >= begins or not episode.is_fault) and chance.random() < slow_share:
            return chance.uniform(1.05, 4.0), None
        return chance.uniform(0.1, 0.95), None

    circuit = Watched(Breaker(settings))
    episode.note(begins, f"truth: {slow_share:.0%} of calls take over 1 s" if episode.is_fault else "truth: healthy")
    circuit.run(episode, _calls(episode, begins + 25, ends))
    if not episode.is_fault:
        return Finding("circuit opened" if circuit.opened_at is not None else ""), ""
    delay = None if circuit.opened_at is None else circuit.opened_at - begins
    return Finding(circuit.opened_by, delay), Cause.SLOW_CALLS.value


def play_storm(episode: Episode) -> tuple[Finding, str]:
    """Many calls fail and want to be tried again; the budget stops that. Or a few do, and it must not."""
    chance = episode.random
    policy = BudgetPolicy(deposit=1e6) if episode.is_blind else BudgetPolicy()
    policy = BudgetPolicy(0.0, 0.0) if episode.is_eager else policy
    budget = RetryBudget(policy)
    rate, begins, until = chance.uniform(20, 60), chance.uniform(2, 10), 30.0
    failing = chance.uniform(0.9, 1.0) if episode.is_fault else chance.uniform(0, 0.03)
    how = chance.choice(OUTAGES)
    refused_at: float | None = None
    firsts, retries, broken = 0, 0, set[str]()
    waiting: list[tuple[float, float, int, Operation]] = []
    worded = {what: [answer(how, what, chance) for _ in range(4)] for what in (Operation.SUBMIT, Operation.QUERY)}
    now = 0.0
    while now < until:
        now += 1 / rate
        operation = Operation.SUBMIT if chance.random() < 0.3 else Operation.QUERY
        budget.deposit(now)
        firsts += 1
        due = []
        while waiting and waiting[0][0] <= now:
            due.append(heappop(waiting))
        for at, first_at, failures, what in [*due, (now, now, 0, operation)]:
            retries += failures > 0
            sick = (at >= begins or not episode.is_fault) and chance.random() < failing
            if not sick:
                continue
            error = chance.choice(worded[what])
            delay = next_delay(
                policy_for(error.code, what), failures + 1, timedelta(seconds=at - first_at), chance.random()
            )
            if delay is None:
                continue
            if error.ambiguous:
                broken.add("an operation whose outcome is unknown was to be repeated")
            if not budget.try_spend(now):
                refused_at = now if refused_at is None else refused_at
                continue
            heappush(waiting, (now + delay.total_seconds(), first_at, failures + 1, what))
    bound = 0.2 * firsts + 1.0 * (until + policy.ttl_seconds) + 1
    if retries > bound:
        broken.add(f"{retries} retries of {firsts} calls, the budget allows {math.floor(bound)}")
    episode.note(begins, f"truth: {how} for {failing:.0%} of {rate:.0f} calls/s; {firsts} calls, {retries} retries")
    seen = "" if refused_at is None else "budget spent"
    delay_seen = None if refused_at is None else refused_at - begins
    return Finding(seen, delay_seen if episode.is_fault else None, tuple(sorted(broken))), "budget spent"


CALL_SCENARIOS = (
    Scenario(
        "calls.outage", "transport", "a broker that fails opens its circuit, one that says no does not", play_outage
    ),
    Scenario("calls.slow", "transport", "a broker too slow for most calls opens its circuit", play_slow, 13.0),
    Scenario("calls.storm", "transport", "retries of a broken broker end at the budget", play_storm, 10.0),
)
