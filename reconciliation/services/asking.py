"""Asking a broker for everything a run compares: pages of orders and executions, then holdings and balances."""

from dataclasses import dataclass, field
from datetime import date

from brokers.core.reports import AccountReport, CashReport, FillReport, OrderReport, PositionReport
from brokers.services.guarded_session import GuardedSession
from reconciliation.core.runs import RunStep

PAGES = 20  # asked in one attempt, after which what they brought is kept


@dataclass(slots=True)
class Answers:
    """What one attempt brought. The run goes on at ``step`` and ``token``; holdings and account are last."""

    step: RunStep
    token: str
    orders: list[OrderReport] = field(default_factory=list)
    fills: list[FillReport] = field(default_factory=list)
    positions: list[PositionReport] = field(default_factory=list)
    account: AccountReport | None = None
    movements: list[CashReport] | None = None
    calls: int = 0


async def ask(
    session: GuardedSession, step: RunStep, token: str, fill_cursor: str, cash_since: date | None = None
) -> Answers:
    """Ask on from a place, at most ``PAGES`` pages; raises ``BrokerCallError`` as soon as one question fails.

    Args:
        token: Behind which order or execution to go on; empty at the beginning of ``ORDERS``.
        fill_cursor: From where executions are read.
        cash_since: From which day on movements of cash are asked for, None where the broker lists none.
    """
    answers = Answers(step, token)
    while answers.calls < PAGES:
        if answers.step is RunStep.ORDERS:
            await _page_orders(session, answers, fill_cursor)
        elif answers.step is RunStep.FILLS:
            await _page_fills(session, answers)
        else:
            answers.positions = await session.list_positions()
            answers.account = await session.get_account()
            answers.calls += 2
            if cash_since is not None:
                answers.movements = await session.list_cash_movements(cash_since)
                answers.calls += 1
            break
    return answers


async def _page_orders(session: GuardedSession, answers: Answers, fill_cursor: str) -> None:
    page = await session.page_open_orders(answers.token)
    answers.calls += 1
    answers.orders += page.orders
    answers.token = page.after
    if not page.after:
        answers.step, answers.token = RunStep.FILLS, fill_cursor


async def _page_fills(session: GuardedSession, answers: Answers) -> None:
    page = await session.page_fills(answers.token)
    answers.calls += 1
    answers.fills += page.fills
    answers.token = page.cursor
    if page.is_last:
        answers.step, answers.token = RunStep.HOLDINGS, ""
