"""Whether the cash that the broker reports is what the executions since the last clean mark explain."""

from decimal import Decimal

from reconciliation.core.discrepancy import Difference, DiscrepancyKind, SubjectType
from reconciliation.core.matching import amount

TOLERANCE = Decimal("0.01")  # brokers round each execution to their smallest coin


def compare_cash(expected: Decimal, reported: Decimal, currency: str, executions: int) -> tuple[Difference, ...]:
    """Return what differs; each execution since the mark may have been rounded by one coin.

    It is looked at again in any case: the cash was reported a moment after the executions were.

    Args:
        expected: Cash at the mark, and what executions and cash entries since then moved.
        executions: How many executions that are.
    """
    if abs(expected - reported) <= TOLERANCE * max(1, executions):
        return ()
    sides = {"cash": amount(expected)}, {"cash": amount(reported)}
    return (Difference(DiscrepancyKind.CASH, SubjectType.CASH, currency, "", *sides),)
