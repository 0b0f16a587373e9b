"""What every step of a recovery run has in common: is the run still worth something, and does the broker answer."""

from datetime import timedelta
from typing import Any

from brokers.adapters.errors import BrokerCallError
from brokers.selectors.recovery import find_stream
from brokers.services.accounts import AccountProfile, get_profile
from brokers.services.guards import CallClass, refused_here, waiting
from reconciliation.core.recovery import RecoveryState
from reconciliation.models import RecoveryRun
from reliability.core.jobs import JobError
from reliability.core.saga import Failed, Verdict, Waiting
from reliability.core.taxonomy import FailureKind
from reliability.services.sagas.kinds import StepAction, StepContext

VOID = "SYSTEM_RECOVERY_VOID"
SOON = Waiting(timedelta(milliseconds=100))
LATER = Waiting(timedelta(milliseconds=400))


class RecoveryStep(StepAction):
    """One step: ``act`` runs with the saga and the run locked."""

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        raise NotImplementedError

    def apply(self, step: StepContext, result: Any) -> Verdict:
        run = RecoveryRun.objects.select_for_update().get(saga_id=step.saga_id)
        void = void_reason(run)
        verdict = Failed(void) if void is not None else self.act(run, step, result)
        if isinstance(verdict, Failed):
            run.error_code, run.error_message = verdict.error.code, verdict.error.message[:1000]
        run.save()
        return verdict

    def judge_error(self, step: StepContext, error: BaseException) -> Verdict:
        """A broker that cannot answer now is asked again until the run's deadline; one that refuses fails the run."""
        held = refused_here(error)
        if held is not None:
            return Waiting(held.delay)
        if not isinstance(error, BrokerCallError):
            return super().judge_error(step, error)
        if error.kind is FailureKind.REJECTED:
            failed = JobError(error.code, error.message)
            RecoveryRun.objects.filter(saga_id=step.saga_id).update(
                error_code=failed.code, error_message=failed.message[:1000]
            )
            return Failed(failed)
        return Waiting(timedelta(seconds=max(0.3, error.retry_after_seconds or 0.0)))


class BrokerStep(RecoveryStep):
    """A step that asks the broker; ``result`` is None where the broker takes no reads at the moment."""

    def prepare(self, step: StepContext) -> Any:
        profile = get_profile(step.saga_payload["account"])
        return None if waiting(profile, CallClass.READS) is not None else self.request(profile)

    def request(self, profile: AccountProfile) -> Any:
        return profile

    def act(self, run: RecoveryRun, step: StepContext, result: Any) -> Verdict:
        return LATER if result is None else self.take(run, result)

    def take(self, run: RecoveryRun, result: Any) -> Verdict:
        raise NotImplementedError


def void_reason(run: RecoveryRun) -> JobError | None:
    """Return why a run is worth nothing any more: the stream it rests on is gone."""
    if run.state != RecoveryState.RUNNING:
        return JobError(VOID, "A newer run took over.")
    if run.stream_generation is None:
        return None
    stream = find_stream(run.account_id)
    if stream is None or not stream.is_up or stream.generation != run.stream_generation:
        return JobError(VOID, "The order stream broke again: a run begins anew when it is back.")
    return None
