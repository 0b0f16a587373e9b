"""Which symbols a broker trades: read on schedule, so that a wrong symbol is refused at once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.core.reports import InstrumentReport
from brokers.models import Instrument
from brokers.services.accounts import AccountProfile, list_profiles
from brokers.services.guards import refused_here
from brokers.services.sessions import get_session
from reliability.core.jobs import ClaimedJob, Disposition, Done, JobError, Performed, Snooze
from reliability.services.jobs.execution import failure_disposition
from reliability.services.jobs.kinds import JobKind, Prepared

REFRESH_KIND = "instruments.refresh"


class RefreshInstrumentsJob(JobKind):
    name: ClassVar[str] = REFRESH_KIND
    lane: ClassVar[str] = "market_data"
    timeout: ClassVar[timedelta] = timedelta(seconds=60)
    lease: ClassVar[timedelta | None] = timedelta(seconds=70)

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        profiles = {profile.broker: profile for profile in list_profiles() if profile.enabled}
        request = tuple(profiles.values())
        return {job.id: request or Done() for job in jobs}

    async def perform(self, request: tuple[AccountProfile, ...]) -> dict[str, list[InstrumentReport]]:
        return {profile.broker: await get_session(profile).list_instruments() for profile in request}

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {outcome.job.id: self._apply_one(outcome) for outcome in outcomes}

    def _apply_one(self, outcome: Performed) -> Disposition:
        held = refused_here(outcome.error)
        if held is not None:
            return held
        if isinstance(outcome.error, BrokerCallError):
            return Snooze(timedelta(seconds=5), JobError(outcome.error.code, outcome.error.message))
        if outcome.error is not None:
            return failure_disposition(outcome)
        for broker, reports in outcome.result.items():
            _save(broker, reports)
        return Done()


def _save(broker: str, reports: Sequence[InstrumentReport]) -> None:
    now = timezone.now()
    Instrument.objects.bulk_create(
        [
            Instrument(
                broker_id=broker,
                symbol=report.symbol,
                name=report.name[:200],
                tradable=report.tradable,
                fractionable=report.fractionable,
                seen_at=now,
            )
            for report in reports
        ],
        update_conflicts=True,
        unique_fields=["broker", "symbol"],
        update_fields=["name", "tradable", "fractionable", "seen_at"],
        batch_size=1000,
    )
    if reports:
        Instrument.objects.filter(broker_id=broker, seen_at__lt=now).update(tradable=False)
