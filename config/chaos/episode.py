"""One episode: a scenario run once with one seed on a stack that is well, and judged."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from config.chaos import collect, sweep
from config.chaos.breaking import Breaker, Say
from config.chaos.checker import Finding, check
from config.chaos.expectations import unmet
from config.chaos.load import DRAWS, Order, cancel_resting, send_orders
from config.chaos.machine import MachineState, machine_watch
from config.chaos.market import held_bars, lacking_bars
from config.chaos.measures import Measures, measure
from config.chaos.noise import read_noise
from config.chaos.records import Records
from config.chaos.scenario import Load, Scenario
from config.chaos.sightings import see_all
from config.chaos.stack import Stack, wait_until
from config.chaos.trial import fresh_dead_letters, still_unfinished, unfinished_jobs, what_it_is_about
from config.chaos.watching import health_watch
from config.stack.client import ApiClient
from config.stack.judgement import judge

_AFTERMATH = 6
_POLL_SECONDS = 0.25
_LASTING = frozenset({"I1", "I2", "I3", "I4", "I11"})
"""What is read from all orders, positions and bars of a stack, and so is found again in every later episode."""


class Outcome(StrEnum):
    """``VOID``: a fault could not be set or healed, so that the run says nothing. It is never a pass."""

    PASSED = "passed"
    FAILED = "failed"
    VOID = "void"
    NOT_RUN = "not run"


@dataclass
class Episode:
    """What one run of one scenario showed."""

    scenario: Scenario
    seed: int
    outcome: Outcome
    sabotaged: bool = False
    reason: str = ""
    findings: list[Finding] = field(default_factory=list)
    records: Records = field(default_factory=Records)
    measures: Measures = field(default_factory=Measures)
    began_at: datetime | None = None
    began: float = 0.0
    seconds: float = 0.0
    unready: list[tuple[float, str]] = field(default_factory=list)
    machine: MachineState = field(default_factory=MachineState)

    @property
    def is_safe(self) -> bool:
        """Tell whether it was run to its end and nothing but times was wrong."""
        was_judged = self.outcome in (Outcome.PASSED, Outcome.FAILED)
        return was_judged and all(finding.is_timing for finding in self.findings)


def run_episode(
    stack: Stack, scenario: Scenario, seed: int, noise: Path, *, say: Say = print, sabotaged: bool = False
) -> Episode:
    """Run a scenario on a stack that is well, judge it, and leave the stack well."""
    began = time.monotonic()
    if dirt := _made_ready(stack):
        reason = f"the stack was not well before: {'; '.join(dirt)}"
        return Episode(scenario, seed, Outcome.VOID, sabotaged, reason)
    unready: list[tuple[float, str]] = []
    machine = MachineState()
    try:
        with (
            _sabotage(stack, scenario, sabotaged),
            health_watch(stack) as unready,
            machine_watch(stack.instance.supervisor.pid) as machine,
        ):
            try:
                episode = asyncio.run(_run(stack, scenario, seed, noise, unready, say, sabotaged))
            finally:
                sweep.clean(stack)
    except Exception as error:  # whatever it is: a run that could not be led to its end is void, and says why
        reason = "; ".join(dict.fromkeys(f"{type(one).__name__}: {one}" for one in _single(error)))
        episode = Episode(scenario, seed, Outcome.VOID, sabotaged, reason)
    episode.unready, episode.machine = unready, machine
    episode.seconds = time.monotonic() - began
    stack.abandoned |= {order["id"] for order in episode.records.orders if not order["final"]}
    return episode


def _single(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions that groups within groups are made of."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _single(one)
    else:
        yield error


def _made_ready(stack: Stack) -> list[str]:
    """Wait until the stack is well and nothing is in force; return what stays wrong."""
    dirt = sweep.find_dirt(stack)
    if dirt:
        sweep.clean(stack)
        dirt = sweep.find_dirt(stack)
    try:
        wait_until(lambda: not collect.not_recovered(stack), "the stack is well", 90)
    except AssertionError:
        dirt += collect.not_recovered(stack)
    return dirt


@contextmanager
def _sabotage(stack: Stack, scenario: Scenario, sabotaged: bool) -> Iterator[None]:
    plan = scenario.sabotage
    if not sabotaged or plan is None:
        yield
        return
    with ExitStack() as undo:
        for protection in plan.protections:
            stack.take_away(protection)
            undo.callback(stack.restore, protection)
        for circuit in plan.disabled:
            stack.post(f"/api/v1/circuits/{circuit}/pin", {"state": "disabled", "reason": "sabotage"})
            undo.callback(stack.post, f"/api/v1/circuits/{circuit}/unpin", {"reason": "sabotage is over"})
        if plan.statement:
            _execute_each(stack, plan.statement)
            undo.callback(_execute_each, stack, plan.undo)
        yield


def _execute_each(stack: Stack, statements: str) -> None:
    """Execute statements one by one: some, such as ALTER SYSTEM, are refused in company."""
    for statement in statements.split(";"):
        stack.execute(statement)


async def _run(
    stack: Stack,
    scenario: Scenario,
    seed: int,
    noise: Path,
    unready: list[tuple[float, str]],
    say: Say,
    sabotaged: bool,
) -> Episode:
    chance = random.Random(f"{scenario.name}:{seed}")
    sabotage = scenario.sabotage if sabotaged else None
    load = sabotage.load if sabotage and sabotage.load else scenario.load
    planned = scenario.drawn(chance, sabotaged=sabotaged)

    def give_back(kind: str) -> None:
        for protection in [name for name, after in sabotage.give_back.items() if after == kind] if sabotage else ():
            stack.restore(protection)
            say(f"{protection} is given back")

    breaker = Breaker(stack, planned, chance, say, give_back)
    began, began_at = time.monotonic(), datetime.now(UTC)
    pids = sweep.processes(stack)
    key = f"{scenario.name}-{seed}-{int(began * 1000) % 10**8:x}"
    async with ApiClient(stack.instance.urls["web"], stack.instance.env["STANCHION_API_TOKEN"]) as client:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(breaker.run())
                group.create_task(_send(client, key, load, chance, say))
        finally:
            await asyncio.to_thread(breaker.heal_all)
        over = breaker.log.last_over
        if sabotage is None or sabotage.aftermath:
            await _send(client, f"{key}-after", Load(_AFTERMATH, 10.0, "market"), chance, lambda text: None)
        stack.accepted.update(client.accepted)
        say("settling")
        limit = sabotage.settle_seconds if sabotage else scenario.settle_seconds
        settled = await _settle(stack, client, breaker, limit)
    records = await asyncio.to_thread(_collect, stack, client, key, began_at, breaker, settled, unready)
    records.pids_before, records.pids_after = pids, sweep.processes(stack)
    records.late_by_ms = read_noise(noise, began, time.monotonic())
    records.recovered_seconds = None if settled.recovered is None else max(0.0, settled.recovered - over)
    records.agreed_seconds = None if settled.agreed is None else max(0.0, settled.agreed - over)
    records.progress_seconds = _progress(records, breaker) if sabotage is None or sabotage.aftermath else 0.0
    outcome, findings, measures = judged(scenario, records, stack.known_problems)
    return Episode(scenario, seed, outcome, sabotaged, "", findings, records, measures, began_at, began)


def judged(scenario: Scenario, records: Records, known: set[str]) -> tuple[Outcome, list[Finding], Measures]:
    """Return the outcome, what is newly wrong and the figures.

    ``known`` holds what is wrong for ever on this stack (an order that is lost stays lost), so that only the episode
    that did the harm is blamed for it; what is new of that kind is added. Everything else counts in each episode anew.
    """
    found = [*check(scenario, records), *unmet(scenario, records)]
    findings = [one for one in found if one.invariant not in _LASTING or what_it_is_about(one.text) not in known]
    known |= {what_it_is_about(one.text) for one in findings if one.invariant in _LASTING}
    measures = measure(scenario, records)
    failed = any(not one.is_timing or measures.is_valid for one in findings)
    return Outcome.FAILED if failed else Outcome.PASSED, findings, measures


async def _send(client: ApiClient, key: str, load: Load, chance: random.Random, say: Say) -> None:
    await send_orders(
        client,
        name=key,
        count=load.orders,
        rate=load.rate,
        chance=chance,
        draw=DRAWS[load.draw],
        times=load.times,
    )
    say(f"{load.orders} orders accepted")


@dataclass
class _Settled:
    """When the stack was last seen to become well, and to agree with the ledgers; what it knew at the end."""

    recovered: float | None = None
    agreed: float | None = None
    still: list[str] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    positions: list[Order] = field(default_factory=list)


async def _settle(stack: Stack, client: ApiClient, breaker: Breaker, limit: float) -> _Settled:
    """Cancel what rests for ever, then wait until nothing is under way and both sides agree, or the time is over."""
    deadline = time.monotonic() + limit
    settled = _Settled()
    while True:
        still_open = await client.list_orders("&open=true")
        under_way = [order for order in still_open if order["id"] not in stack.abandoned]
        await cancel_resting(client, [order for order in under_way if order["state"] != "accepted"])
        settled.still = await asyncio.to_thread(collect.not_recovered, stack)
        well = not settled.still and breaker.all_back()
        settled.recovered = (settled.recovered or time.monotonic()) if well else None
        over = time.monotonic() > deadline
        agrees = not under_way and await _agrees(stack, client, settled)
        settled.agreed = (settled.agreed or time.monotonic()) if agrees else None
        if over or (well and agrees and not await asyncio.to_thread(unfinished_jobs, stack)):
            if not settled.orders or under_way:
                await _agrees(stack, client, settled)
            return settled
        await asyncio.sleep(_POLL_SECONDS)


async def _agrees(stack: Stack, client: ApiClient, settled: _Settled) -> bool:
    """Read all orders and positions, and tell whether the ledgers say the same."""
    settled.orders = await client.list_orders()
    settled.positions = (await client.get("/api/v1/positions"))["results"]
    ledgers = await asyncio.to_thread(stack.ledgers)
    judgement = judge(stack.accepted.values(), settled.orders, ledgers, settled.positions)
    return {what_it_is_about(line) for line in judgement.problems()} <= stack.known_problems


def _collect(
    stack: Stack,
    client: ApiClient,
    key: str,
    since: datetime,
    breaker: Breaker,
    settled: _Settled,
    unready: list[tuple[float, str]],
) -> Records:
    ledgers = stack.ledgers()
    calls = collect.calls(stack, since)
    faults = breaker.log.entries
    return Records(
        accepted=dict(stack.accepted),
        history=list(client.history),
        orders=[order for order in settled.orders if order["idempotency_key"].startswith(key)],
        everything=settled.orders,
        positions=settled.positions,
        ledgers=ledgers,
        calls=calls,
        faults=faults,
        told=dict(stack.accepted),
        cancels=set(client.cancels),
        circuits=collect.circuits(stack, since),
        changes=collect.changes(stack, since),
        sent_in_freeze=collect.sent_in_freeze(stack, since),
        older_writes=collect.older_writes(stack, since),
        unfinished=still_unfinished(stack) if settled.recovered is not None else [f"{one}" for one in settled.still],
        dead_letters=fresh_dead_letters(stack),
        fills_ours=collect.fills_ours(stack),
        fills_theirs=collect.fills_theirs(ledgers),
        bad_bars=[*collect.bad_bars(stack), *lacking_bars(stack)],
        held_bars=held_bars(stack, since),
        ticks=collect.ticks(stack, since),
        not_healthy=settled.still,
        seen=see_all(stack, faults, calls, unready),
        errors=collect.errors(stack, since),
        alerts=collect.alerts(stack, since),
        dirt=sweep.find_dirt(stack),
    )


def _progress(records: Records, breaker: Breaker) -> float | None:
    """Return the seconds from the end of the last fault to the first acknowledgement of an order accepted after it."""
    ends = [entry.off_at if entry.lasting else entry.on_at for entry in breaker.log.entries]
    over = max((end for end in ends if end is not None), default=None)
    waits = [
        (datetime.fromisoformat(order["acknowledged_at"]) - (over or datetime.fromisoformat(order["accepted_at"])))
        for order in records.orders
        if order["acknowledged_at"] and (over is None or datetime.fromisoformat(order["accepted_at"]) > over)
    ]
    return min((wait.total_seconds() for wait in waits), default=None)
