"""The step of a recovery run that compares positions while fills may be under way."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils import timezone

from brokers.core.reports import PositionReport
from brokers.selectors.recorded import assets_of_crossed_pairs, reported_currency
from brokers.selectors.recovery import position_quantities, quantities_since
from brokers.services.accounts import AccountProfile, get_profile
from brokers.services.sessions import get_session
from brokers.services.synchronization import want_sync
from reconciliation.core.recovery import PositionLook, lasting_differences
from reconciliation.models import RecoveryRun
from reconciliation.services.recovery_step import LATER, BrokerStep
from reliability.core.saga import Finished, Verdict

_LOOKS_THAT_AGREE = 8  # 0.4 s apart: fills under way are booked by then
_BEFORE_ASKING = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class ReportedPositions:
    """What the broker holds, and when it was asked."""

    asked_at: datetime
    quantities: Mapping[str, Decimal]


class PositionsStep(BrokerStep):
    """The broker holds what is recorded: each symbol is seen equal once, or its difference stays.

    They are compared where what is held follows the executions and the fees that they tell.
    """

    async def perform(self, request: AccountProfile | None) -> ReportedPositions | None:
        if request is None:
            return None
        asked_at = timezone.now()
        reported = await get_session(request).list_positions()
        return ReportedPositions(asked_at, _quantities(reported))

    def take(self, run: RecoveryRun, result: ReportedPositions) -> Verdict:
        if not get_profile(run.account_id).adapter.capabilities.positions_follow_fills:
            return Finished({"compared": 0, "differing": {}})
        look = PositionLook(_differences(run.account_id, result))
        equal_once = set(run.memo.get("equal_positions", ()))
        ours = position_quantities(run.account_id)
        equal_once |= (result.quantities.keys() | ours.keys()) - look.differences.keys()
        looks = [*run.memo.get("looks", ()), {name: str(value) for name, value in look.differences.items()}]
        run.memo["looks"] = looks[-_LOOKS_THAT_AGREE:]
        run.memo["equal_positions"] = sorted(equal_once)
        left = {name: value for name, value in look.differences.items() if name not in equal_once}
        lasting = lasting_differences(_looks(run.memo["looks"]), needed=_LOOKS_THAT_AGREE)
        if left.keys() <= lasting.keys():
            run.differing = {name: str(lasting[name]) for name in sorted(left)}
            return Finished({"compared": len(result.quantities), "differing": run.differing})
        want_sync({run.account_id})
        return LATER


def _quantities(reported: list[PositionReport]) -> dict[str, Decimal]:
    return {position.symbol: position.quantity for position in reported if position.quantity}


def _differences(account_id: int, reported: ReportedPositions) -> dict[str, Decimal]:
    """Return broker minus ours where no quantity that was ours around the question is the broker's."""
    ours = position_quantities(account_id)
    zero = Decimal(0)
    crossed = assets_of_crossed_pairs(account_id, reported_currency(account_id))
    differing = {
        symbol: reported.quantities.get(symbol, zero) - ours.get(symbol, zero)
        for symbol in reported.quantities.keys() | ours.keys()
        if reported.quantities.get(symbol, zero) != ours.get(symbol, zero) and symbol.split("/")[0] not in crossed
    }
    lately = quantities_since(account_id, sorted(differing), reported.asked_at - _BEFORE_ASKING) if differing else {}
    return {
        symbol: difference
        for symbol, difference in differing.items()
        if reported.quantities.get(symbol, zero) not in lately[symbol]
    }


def _looks(kept: list[Mapping[str, str]]) -> list[PositionLook]:
    return [PositionLook({name: Decimal(value) for name, value in look.items()}) for look in kept]
