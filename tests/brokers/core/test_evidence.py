"""Evidence about one order gives the same order, whatever the order it comes in and however often.

The evidence is what a broker can truthfully say of one order: reports along its history,
whose filled quantity is the sum of the fills so far, and the fills themselves; and, apart from
that, what brokers say that contradict themselves: two ends, fills after an end, more than was ordered.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.core.evidence import OrderFacts, fills_are_missing, merge_fill, merge_report
from brokers.core.orders import FINAL_STATES, STATE_RANK, OrderState, Side, may_move
from brokers.core.positions import PositionFacts, apply_fill
from brokers.core.reports import OrderReport, ReportedStatus

ENDS = (ReportedStatus.CANCELED, ReportedStatus.EXPIRED, ReportedStatus.REPLACED, ReportedStatus.REJECTED)
BEGINNINGS = (OrderState.ACCEPTED, OrderState.SENDING, OrderState.UNKNOWN, OrderState.REFUSED)


@dataclass(frozen=True)
class Execution:
    number: int
    quantity: Decimal


@dataclass(frozen=True)
class History:
    """One order's life at the broker, and every piece of evidence it can give."""

    quantity: Decimal | None
    fills: tuple[Execution, ...]
    reports: tuple[OrderReport, ...]
    end: ReportedStatus | None

    @property
    def evidence(self) -> tuple[Execution | OrderReport, ...]:
        return (*self.fills, *self.reports)


def report(status: ReportedStatus, filled: Decimal, quantity: Decimal | None) -> OrderReport:
    return OrderReport(
        client_order_id="st-1",
        broker_order_id="b-1",
        status=status,
        symbol="AAPL",
        side=Side.BUY,
        filled_quantity=filled,
        quantity=quantity,
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    pieces = [Decimal(piece) / 4 for piece in draw(st.lists(st.integers(1, 40), max_size=4))]
    filled = list(accumulate(pieces, initial=Decimal(0)))
    is_filled = bool(pieces) and draw(st.booleans())
    by_notional = draw(st.booleans())
    total = filled[-1] if is_filled else filled[-1] + draw(st.integers(1, 10))
    quantity = None if by_notional else total
    reports = [
        report(ReportedStatus.PARTIALLY_FILLED if so_far else ReportedStatus.WORKING, so_far, quantity)
        for so_far in (filled[:-1] if is_filled else filled)
    ]
    end = ReportedStatus.FILLED if is_filled else draw(st.sampled_from((None, *ENDS)))
    if end is not None:
        reports.append(report(end, filled[-1], quantity))
    return History(quantity, tuple(Execution(*one) for one in enumerate(pieces)), tuple(reports), end)


@st.composite
def contradictions(draw: st.DrawFn) -> History:
    """What brokers say that contradict themselves, with fills still missing. "Filled" alone tells the true total."""
    pieces = [Decimal(piece) / 4 for piece in draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))]
    total = sum(pieces)
    quantity = draw(st.sampled_from((None, total, total + 1, total - Decimal("0.25"))))
    so_far = st.sampled_from(list(accumulate(pieces, initial=Decimal(0))))
    reports = [
        report(status, total if status is ReportedStatus.FILLED else draw(so_far), quantity)
        for status in draw(st.lists(st.sampled_from(list(ReportedStatus)), min_size=2, max_size=5))
    ]
    fills = [Execution(*one) for one in enumerate(pieces)]
    fills = fills[: draw(st.integers(0, len(fills)))]
    return History(quantity or None, tuple(fills), tuple(reports), None)


def merge(start: OrderState, quantity: Decimal | None, evidence: Sequence[Execution | OrderReport]) -> OrderFacts:
    """Merge as booking does: an execution that was booked before changes nothing."""
    facts, booked = OrderFacts(start, quantity), set()
    for piece in evidence:
        before = facts
        if isinstance(piece, OrderReport):
            facts = merge_report(facts, piece)
        elif piece not in booked:
            booked.add(piece)
            facts = merge_fill(facts, piece.quantity, "b-1")
        assert facts.state == before.state or may_move(before.state, facts.state)
    return facts


@settings(max_examples=300, deadline=None)
@given(histories(), st.sampled_from(BEGINNINGS), st.randoms(use_true_random=True))
def test_any_order_and_any_repetition_give_the_same_facts(
    history: History, start: OrderState, chance: random.Random
) -> None:
    """300 histories in 40 orders each, with repetitions."""
    require_one_outcome(history, start, chance, orders=40)


@settings(max_examples=100, deadline=None)
@given(contradictions(), st.sampled_from(BEGINNINGS), st.randoms(use_true_random=True))
def test_contradictions_give_the_same_facts_in_any_order_too(
    history: History, start: OrderState, chance: random.Random
) -> None:
    """100 histories in 10 orders each, with repetitions."""
    require_one_outcome(history, start, chance, orders=10)


def require_one_outcome(history: History, start: OrderState, chance: random.Random, *, orders: int) -> None:
    """Merge shuffles with repetitions, every fifth also booked to a position: all give one order and one holding."""
    pieces = list(history.evidence)
    expected, held = merge(start, history.quantity, pieces), position_after(pieces)
    for number in range(orders):
        shuffled = [*pieces, *chance.choices(pieces, k=chance.randrange(6))]
        chance.shuffle(shuffled)
        assert merge(start, history.quantity, shuffled) == expected, shuffled
        if number % 5 == 0:
            position = position_after(shuffled)
            assert position.quantity == held.quantity
            assert abs(paid_for(position) - paid_for(held)) < Decimal("1e-9")


def position_after(evidence: Sequence[Execution | OrderReport]) -> PositionFacts:
    """Return the position after booking each execution once; it began short, so that fills close it and cross zero."""
    position, booked = PositionFacts(Decimal(-3), Decimal(100), Decimal(0)), set()
    for piece in evidence:
        if isinstance(piece, Execution) and piece not in booked:
            booked.add(piece)
            position = apply_fill(position, Side.BUY, piece.quantity, Decimal(90 + piece.number))
    return position


def paid_for(position: PositionFacts) -> Decimal:
    """Return what the holding cost beyond the profit made: what was paid, which no order of booking changes."""
    return position.quantity * position.average_price - position.realized_profit


@settings(max_examples=100, deadline=None)
@given(histories())
def test_all_evidence_together_gives_what_became_of_the_order(history: History) -> None:
    facts = merge(OrderState.SENDING, history.quantity, history.evidence)

    assert facts.filled_quantity == sum(piece.quantity for piece in history.fills)
    assert not fills_are_missing(facts)
    if history.end is not None:
        assert facts.state == history.end.state
    else:
        assert facts.state == (OrderState.PARTIALLY_FILLED if history.fills else OrderState.WORKING)


@settings(max_examples=100, deadline=None)
@given(histories(), st.data())
def test_an_order_is_not_filled_before_its_last_fill_is_booked(history: History, data: st.DataObject) -> None:
    """Order and position move together: a report alone never makes an order filled."""
    missing = data.draw(st.sampled_from(history.fills)) if history.fills else None
    rest = [piece for piece in history.evidence if piece != missing]
    facts = merge(OrderState.SENDING, history.quantity, data.draw(st.permutations(rest)))

    if missing is not None and history.end is ReportedStatus.FILLED:
        assert facts.state not in FINAL_STATES
        assert fills_are_missing(facts)


@settings(max_examples=100, deadline=None)
@given(histories(), st.data())
def test_evidence_never_takes_anything_back(history: History, data: st.DataObject) -> None:
    facts = OrderFacts(OrderState.UNKNOWN, history.quantity)
    for piece in data.draw(st.permutations(history.evidence)):
        merged = (
            merge_report(facts, piece) if isinstance(piece, OrderReport) else merge_fill(facts, piece.quantity, "b-1")
        )
        assert STATE_RANK[merged.state] >= STATE_RANK[facts.state]
        assert merged.filled_quantity >= facts.filled_quantity
        assert merged.reported_filled_quantity >= facts.reported_filled_quantity
        facts = merged
