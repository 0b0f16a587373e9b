"""What a broker tells of one order, shuffled, repeated and partly lost, before the real merging of evidence."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from brokers.core.evidence import OrderFacts, fills_are_missing, merge_fill, merge_report
from brokers.core.orders import STATE_RANK, OrderState, Side
from brokers.core.reports import OrderReport, ReportedStatus
from config.simulation.episodes import Episode, Finding, Scenario

MISSING = "fills are missing"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing the broker tells: an execution, or how the order stands."""

    at: float
    fill: tuple[str, Decimal] | None = None
    report: OrderReport | None = None


@dataclass(slots=True)
class Desk:
    """Our side: what was booked, and the order as the evidence so far makes it."""

    facts: OrderFacts
    booked: set[str]
    went_back: bool = False

    def hear(self, message: Message, *, only_fills: bool) -> None:
        before = self.facts
        if message.fill is not None and message.fill[0] not in self.booked:
            self.booked.add(message.fill[0])
            self.facts = merge_fill(self.facts, message.fill[1], "b-1")
        if message.report is not None and not only_fills:
            self.facts = merge_report(self.facts, message.report)
        self.went_back |= STATE_RANK[self.facts.state] < STATE_RANK[before.state]


def _report(status: ReportedStatus, filled: Decimal, quantity: Decimal) -> OrderReport:
    return OrderReport("st-1", "b-1", status, "AAPL", Side.BUY, filled, quantity)


def _life(episode: Episode) -> tuple[Decimal, list[Message], OrderState]:
    """Return an order's quantity, all that the broker tells of it, and how it really ended."""
    chance = episode.random
    parts = [Decimal(chance.randint(1, 50)) for _ in range(chance.randint(1, 8))]
    quantity = sum(parts, Decimal(0))
    ends = chance.choice(
        (ReportedStatus.FILLED, ReportedStatus.FILLED, ReportedStatus.CANCELED, ReportedStatus.EXPIRED)
    )
    if ends is not ReportedStatus.FILLED:
        quantity += chance.randint(1, 50)
    at, filled = 0.0, Decimal(0)
    told = [Message(at, report=_report(ReportedStatus.WORKING, filled, quantity))]
    for number, part in enumerate(parts):
        at += chance.uniform(0.01, 2)
        filled += part
        done = filled >= quantity
        status = ReportedStatus.FILLED if done else ReportedStatus.PARTIALLY_FILLED
        told += [Message(at, fill=(f"e-{number}", part)), Message(at, report=_report(status, filled, quantity))]
    if ends is not ReportedStatus.FILLED:
        told.append(Message(at + 0.1, report=_report(ends, filled, quantity)))
    return quantity, told, ends.state


def play_evidence(episode: Episode) -> tuple[Finding, str]:
    """Fills are lost on the way: that is seen from later reports, and mended by a poll. Or all come, in any order."""
    chance = episode.random
    quantity, told, ends = _life(episode)
    fills = [one for one in told if one.fill is not None]
    lost = chance.sample(fills, chance.randint(1, len(fills))) if episode.is_fault else []
    arriving = [one for one in told if one not in lost]
    arriving += chance.choices(arriving, k=chance.randint(0, 2 * len(arriving)))
    chance.shuffle(arriving)
    desk = Desk(OrderFacts(OrderState.SENDING, quantity), set())
    for message in arriving:
        desk.hear(message, only_fills=episode.is_blind or (episode.is_eager and message.fill is not None))
    if episode.is_eager:  # reports alone, as if no fill had come
        desk = Desk(OrderFacts(OrderState.SENDING, quantity), set())
        for message in (one for one in arriving if one.report is not None):
            desk.hear(message, only_fills=False)
    seen = MISSING if fills_are_missing(desk.facts) else ""
    episode.note(0, f"truth: {len(lost)} of {len(fills)} fills lost, it ended {ends}; {len(arriving)} messages heard")
    episode.note(
        0, f"state {desk.facts.state}, {desk.facts.filled_quantity} of {desk.facts.reported_filled_quantity} booked"
    )
    for message in lost:  # what the poll brings, twice
        desk.hear(message, only_fills=False)
        desk.hear(message, only_fills=False)
    return Finding(seen, None, tuple(_broken(desk, fills, ends, episode))), MISSING


def _broken(desk: Desk, fills: list[Message], ends: OrderState, episode: Episode) -> list[str]:
    if episode.is_blind or episode.is_eager:
        return []
    total: Any = sum((one.fill[1] for one in fills if one.fill is not None), Decimal(0))
    broken = ["a state went back"] if desk.went_back else []
    if desk.facts.filled_quantity != total:
        broken.append(f"booked {desk.facts.filled_quantity}, executed {total}")
    if desk.facts.state is not ends:
        broken.append(f"ended {desk.facts.state}, the broker says {ends}")
    if fills_are_missing(desk.facts):
        broken.append("fills are still missing after the poll")
    return broken


ORDER_SCENARIOS = (
    Scenario(
        "orders.evidence",
        "meaning",
        "lost fills are noticed, and any order of telling gives the same order",
        play_evidence,
    ),
)
