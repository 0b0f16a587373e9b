"""What the steps of a recovery run do. Each looks at rows, asks the broker where it must, and may run again.

Every step first makes sure that its run is worth something: that no newer run began, and that the order stream
is the one the run rests on.
"""

import logging
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone

from brokers.core.freezes import FreezeCause
from brokers.core.reports import AccountReport
from brokers.selectors.freezes import account_freezes
from brokers.selectors.recovery import (
    count_open_orders,
    find_stream,
    get_account_name,
    orders_missing_fills,
    unsettled_orders,
)
from brokers.services.accounts import AccountProfile, get_profile
from brokers.services.freezes import release_freeze
from brokers.services.sessions import get_session
from brokers.services.synchronization import (
    SyncRequest,
    SyncResult,
    record_snapshot,
    snapshot_request,
    take_snapshot,
    want_sync,
)
from reconciliation.core.recovery import Action, RecoveryState, judge_integrity
from reconciliation.core.runs import RunKind
from reconciliation.models import RecoveryRun
from reconciliation.services.gap_checks import check_gaps
from reconciliation.services.integrity import freeze_what_is_in_doubt, gather_facts
from reconciliation.services.recovery_balances import BalancesStep
from reconciliation.services.recovery_positions import PositionsStep
from reconciliation.services.recovery_step import LATER, SOON, VOID, BrokerStep, RecoveryStep
from reconciliation.services.runs import request_run
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import JobError
from reliability.core.saga import Failed, Finished, Verdict
from reliability.selectors.jobs import dead_subjects
from reliability.services.alerting import raise_alert, resolve_alert
from reliability.services.sagas.kinds import SagaKind, StepAction, StepContext

RECOVERY_KIND = "recovery"
DEADLINE = timedelta(minutes=2)
AUTOMATIC_CAUSES = frozenset({FreezeCause.RECOVERY, FreezeCause.STREAM_DOWN, FreezeCause.BROKER_UNREACHABLE})
_ALIVE_WITHIN = timedelta(seconds=10)

logger = logging.getLogger(__name__)


class ConnectionStep(BrokerStep):
    """The broker answers a call that changes nothing."""

    async def perform(self, request: AccountProfile | None) -> AccountReport | None:
        return None if request is None else await get_session(request).get_account()

    def take(self, run: RecoveryRun, result: AccountReport) -> Verdict:
        return Finished({"trading_blocked_by_broker": result.trading_blocked})


class SubscriptionsStep(RecoveryStep):
    """The order stream stands, and the run rests on it from now on."""

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        if not get_profile(run.account_id).adapter.capabilities.streams_orders:
            return Finished({"reason": "This broker has no order stream; it is polled."})
        stream = find_stream(run.account_id)
        if stream is None or not stream.is_up or stream.alive_at is None:
            return SOON
        if stream.alive_at < timezone.now() - _ALIVE_WITHIN:
            return SOON
        run.stream_generation = stream.generation
        return Finished({"generation": stream.generation})


class SnapshotStep(BrokerStep):
    """Fills after the cursor, open orders, and those of ours that are no longer open; the stream goes on meanwhile."""

    def request(self, profile: AccountProfile) -> SyncRequest:
        return snapshot_request(profile)

    async def perform(self, request: SyncRequest | None) -> tuple[SyncRequest, SyncResult] | None:
        return None if request is None else (request, await take_snapshot(request))

    def take(self, run: RecoveryRun, result: tuple[SyncRequest, SyncResult]) -> Verdict:
        request, answer = result
        if not record_snapshot(request, answer):
            return SOON  # the stream was taken up meanwhile, so something may be missing
        return Finished({"fills": len(answer.page.fills), "orders": len(answer.reports)})


class UnknownOrdersStep(RecoveryStep):
    """Orders that were unknown when the run began are settled by their look-ups, or wait for a person."""

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        left = unsettled_orders(run.account_id, run.started_at)
        first = run.memo.setdefault("unknown", len(left))
        stuck = dead_subjects([order_id for order_id, _ in left]) if left else {}
        if len(left) > len(stuck):
            return SOON
        return Finished({"settled": first - len(left), "for_a_person": [str(order_id) for order_id in stuck]})


class OpenOrdersStep(RecoveryStep):
    """The snapshot moved whatever is not open any more; what is left is open on both sides."""

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        return Finished({"open": count_open_orders(run.account_id)})


class FillsStep(RecoveryStep):
    """Every fill that the broker had reported when the step began is booked."""

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        missing = {str(order_id) for order_id, _ in orders_missing_fills(run.account_id)}
        wanted = set(run.memo.setdefault("missing_fills", sorted(missing)))
        if not missing & wanted:
            return Finished({"were_missing": len(wanted)})
        want_sync({run.account_id})
        return LATER


class MarketDataStep(RecoveryStep):
    """Gaps in market data are being filled, where market data is kept."""

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        found = check_gaps(run.account_id)
        if not found.is_settled:
            return LATER
        run.memo["open_gaps"] = found.open_gaps
        return Finished({"open_gaps": found.open_gaps, "reason": found.reason})


class IntegrityStep(RecoveryStep):
    """The verdict: books balance, no order is unknown, no gap is open, orders are what their events make them."""

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        facts = gather_facts(run)
        verdict = judge_integrity(facts)
        if verdict.is_clean:
            return Finished({"verdict": "clean"})
        run.findings = list(verdict.findings)
        freeze_what_is_in_doubt(run, facts)
        return Failed(JobError("DATA_INTEGRITY_IN_DOUBT", " ".join(verdict.findings)))


class UnfreezeStep(RecoveryStep):
    """Trading goes on: freezes that end by themselves end with this clean cycle, no others."""

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        name = get_account_name(run.account_id).name
        released = []
        for freeze in account_freezes(name):
            if freeze.cause not in AUTOMATIC_CAUSES:
                continue
            try:
                release_freeze(
                    freeze.id, by="recovery", reason=f"Recovery {run.pk} ended clean.", evidence={"run": run.pk}
                )
            except ReliabilityError as error:
                if error.code != "VALIDATION_WRONG_STATE":  # a person was faster
                    raise
            else:
                released.append(freeze.id)
        return Finished({"released": released})


class NotifyStep(RecoveryStep):
    """The run is over: a reconciliation follows, and whoever was told of a failed one is told so."""

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        name = get_account_name(run.account_id).name
        run.state, run.finished_at = RecoveryState.RECOVERED, timezone.now()
        seconds = (run.finished_at - run.disrupted_at).total_seconds()
        request_run(run.account_id, kind=RunKind.INCREMENTAL, trigger="recovery", by="recovery")
        resolve_alert("recovery.failed", f"account:{name}", reason=f"Recovery {run.pk} ended clean.")
        logger.info("recovered", extra={"account": name, "run": run.pk, "seconds": round(seconds, 3)})
        return Finished({"seconds": round(seconds, 3)})


class RecoverySaga(SagaKind):
    """A step that fails leaves nothing to take back: the freeze stays, and a person is asked."""

    name: ClassVar[str] = RECOVERY_KIND
    lane: ClassVar[str] = "recovery"
    priority: ClassVar[int] = 10  # trading may be frozen until it is over
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    actions: ClassVar[dict[str, StepAction]] = {
        Action.CONNECTION: ConnectionStep(),
        Action.SUBSCRIPTIONS: SubscriptionsStep(),
        Action.SNAPSHOT: SnapshotStep(),
        Action.UNKNOWN_ORDERS: UnknownOrdersStep(),
        Action.OPEN_ORDERS: OpenOrdersStep(),
        Action.FILLS: FillsStep(),
        Action.POSITIONS: PositionsStep(),
        Action.BALANCES: BalancesStep(),
        Action.MARKET_DATA: MarketDataStep(),
        Action.INTEGRITY: IntegrityStep(),
        Action.UNFREEZE: UnfreezeStep(),
        Action.NOTIFY: NotifyStep(),
    }

    def on_turning_back(self, saga_id: UUID) -> None:
        run = RecoveryRun.objects.select_for_update().get(saga_id=saga_id)
        if run.state != RecoveryState.RUNNING:
            return
        run.finished_at = timezone.now()
        run.state = RecoveryState.SUPERSEDED if run.error_code == VOID else RecoveryState.FAILED
        if not run.error_code:
            run.error_code = "SYSTEM_DEADLINE_PASSED"
            run.error_message = "The account could not be recovered before the run's deadline."
        run.save()
        if run.state == RecoveryState.FAILED:
            _ask_person(run)


def _ask_person(run: RecoveryRun) -> None:
    name = get_account_name(run.account_id).name
    message = f"Recovery {run.pk} of {name} failed: {run.error_message}"
    details = {"account": name, "run": run.pk, "findings": run.findings, "code": run.error_code}
    raise_alert("recovery.failed", f"account:{name}", message=message[:1000], details=details)
    logger.warning("recovery failed", extra={"account": name, "run": run.pk, "code": run.error_code})
