"""The step of a recovery run that keeps an account's balances, and compares its cash while fills may be under way."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.utils import timezone

from brokers.core.reports import AccountReport, CashReport
from brokers.services.accounts import AccountProfile, get_profile
from brokers.services.holdings import record_balance
from brokers.services.sessions import get_session
from brokers.services.synchronization import want_sync
from reconciliation.models import RecoveryRun
from reconciliation.services.cash_movements import book_movements, movements_wanted_since
from reconciliation.services.comparing import look_at_cash
from reconciliation.services.recovery_step import LATER, BrokerStep
from reconciliation.services.runs import get_mark
from reliability.core.saga import Finished, Verdict

_LOOKS_THAT_AGREE = 8  # 0.4 s apart: fills under way are booked by then


@dataclass(frozen=True, slots=True)
class ReportedBalances:
    """The account's money as the broker has it, and when it was asked."""

    asked_at: datetime
    account: AccountReport
    movements: list[CashReport] | None


class BalancesStep(BrokerStep):
    """What the broker reports is kept; its cash is seen equal once, or its difference stays.

    Cash is compared where it follows the executions, from the first one that a reconciliation saw agree.
    """

    def request(self, profile: AccountProfile) -> tuple[AccountProfile, date | None]:
        return profile, movements_wanted_since(profile)

    async def perform(self, request: tuple[AccountProfile, date | None] | None) -> ReportedBalances | None:
        if request is None:
            return None
        profile, since = request
        session, asked_at = get_session(profile), timezone.now()
        account = await session.get_account()
        movements = None if since is None else await session.list_cash_movements(since)
        return ReportedBalances(asked_at, account, movements)

    def take(self, run: RecoveryRun, result: ReportedBalances) -> Verdict:
        account = result.account
        balance = record_balance(run.account_id, account, result.asked_at)
        book_movements(run.account_id, result.movements)
        told = {"balance": balance.pk, "currency": account.currency, "cash": str(account.cash)}
        told["equity"] = str(account.equity)
        if not get_profile(run.account_id).adapter.capabilities.cash_follows_fills:
            return Finished({**told, "compared": False})
        look = look_at_cash(get_mark(run.account_id), account.currency, account.cash, None)
        if not look.differences:
            run.memo["cash_difference"] = {}
            return Finished({**told, "compared": look.agreed is not None})
        sides = look.differences[0]
        difference = Decimal(sides.reported["cash"]) - Decimal(sides.recorded["cash"])
        looks = [*run.memo.get("cash_looks", ()), str(difference)][-_LOOKS_THAT_AGREE:]
        run.memo["cash_looks"] = looks
        if len(looks) < _LOOKS_THAT_AGREE or len(set(looks)) > 1:
            want_sync({run.account_id})
            return LATER
        run.memo["cash_difference"] = {account.currency: str(difference)}
        return Finished({**told, "compared": True, "differing": str(difference)})
