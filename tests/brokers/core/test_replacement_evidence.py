"""A chain of replaced orders and one position: the same evidence gives the same result in any order and number."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from brokers.core.evidence import OrderFacts, merge_fill, merge_report
from brokers.core.orders import OrderState, Side
from brokers.core.positions import PositionFacts, apply_fill
from brokers.core.reports import FillReport, OrderReport, ReportedStatus

CASES = 10_000
EXECUTED_AT = datetime(2026, 1, 2, tzinfo=UTC)
Evidence = OrderReport | FillReport


@dataclass(frozen=True)
class Life:
    """What a broker can truthfully say of a chain of orders, and what each filled and became."""

    quantities: tuple[Decimal, ...]
    evidence: tuple[Evidence, ...]
    filled: tuple[Decimal, ...]
    ends: tuple[ReportedStatus, ...]


def draw_life(chance: random.Random) -> Life:
    """Draw a chain of 1 to 4 orders: each is replaced by the next, unless a fill was faster."""
    length = chance.randint(1, 4)
    evidence: list[Evidence] = []
    quantities, filled, ends = [], [], []
    lost = False
    for number in range(length):
        quantity, done = Decimal(chance.randint(1, 8)), Decimal(0)
        evidence.append(_report(number, ReportedStatus.WORKING, done))
        while not lost and done < quantity and chance.random() < 0.6:
            piece = Decimal(chance.randint(1, int(quantity - done)))
            done += piece
            evidence.append(_fill(number, piece, done))
            status = ReportedStatus.FILLED if done == quantity else ReportedStatus.PARTIALLY_FILLED
            evidence.append(_report(number, status, done))
        if lost:
            end = ReportedStatus.REJECTED  # what it was to replace had ended before
        elif done == quantity:
            end, lost = ReportedStatus.FILLED, True
        elif number + 1 < length:
            end = ReportedStatus.REPLACED
        else:
            end = chance.choice((ReportedStatus.CANCELED, ReportedStatus.EXPIRED))
        evidence.append(_report(number, end, done))
        quantities.append(quantity)
        filled.append(done)
        ends.append(end)
    return Life(tuple(quantities), tuple(evidence), tuple(filled), tuple(ends))


def _report(number: int, status: ReportedStatus, filled: Decimal) -> OrderReport:
    return OrderReport(f"st-{number}", f"b-{number}", status, "AAPL", Side.BUY, filled)


def _fill(number: int, quantity: Decimal, cumulative: Decimal) -> FillReport:
    name = f"{number}:{cumulative}"
    return FillReport(
        name, f"b-{number}", "AAPL", Side.BUY, quantity, Decimal(100), EXECUTED_AT, f"st-{number}", cumulative
    )


def told(life: Life, evidence: Sequence[Evidence]) -> tuple[list[OrderFacts], PositionFacts]:
    """Return the orders and the position after this evidence; an execution is known by its id."""
    orders = {
        f"b-{number}": OrderFacts(OrderState.SENDING, quantity) for number, quantity in enumerate(life.quantities)
    }
    position = PositionFacts(Decimal(0), Decimal(0), Decimal(0))
    booked: set[str] = set()
    for piece in evidence:
        facts = orders[piece.broker_order_id]
        if isinstance(piece, OrderReport):
            orders[piece.broker_order_id] = merge_report(facts, piece)
        elif piece.execution_id not in booked:
            booked.add(piece.execution_id)
            orders[piece.broker_order_id] = merge_fill(facts, piece.quantity, piece.broker_order_id)
            position = apply_fill(position, piece.side, piece.quantity, piece.price)
    return list(orders.values()), position


def test_ten_thousand_shuffled_and_repeated_lives_of_chains_end_the_same() -> None:
    chance = random.Random(20)
    for case in range(CASES):
        life = draw_life(chance)
        heard = [*life.evidence, *chance.choices(life.evidence, k=chance.randint(0, 6))]
        chance.shuffle(heard)
        orders, position = told(life, heard)

        assert (orders, position) == told(life, life.evidence), f"case {case}: {heard}"
        assert [facts.state.value for facts in orders] == [end.value for end in life.ends]
        assert [facts.filled_quantity for facts in orders] == list(life.filled)
        assert position.quantity == sum(life.filled)


def test_no_more_than_one_order_of_a_chain_is_open_once_all_is_heard() -> None:
    chance = random.Random(21)
    for _ in range(500):
        life = draw_life(chance)
        orders, _ = told(life, chance.sample(life.evidence, len(life.evidence)))
        assert [facts for facts in orders if facts.state in (OrderState.WORKING, OrderState.PARTIALLY_FILLED)] == []
