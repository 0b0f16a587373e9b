"""The kinds of jobs this app brings."""

from brokers.services.cancellation import CancelOrderJob
from brokers.services.checkpoint_job import CheckpointJob
from brokers.services.decisions import CheckOrderJob
from brokers.services.history.seal_job import SealHistoryJob
from brokers.services.instruments import RefreshInstrumentsJob
from brokers.services.kill_switch_job import StopOrdersJob
from brokers.services.replacement import ReplaceOrderJob
from brokers.services.submit_job import SubmitOrderJob
from brokers.services.synchronization import SyncAccountJob, SyncAllJob
from brokers.services.taking_back import TakeBackJob
from reliability.services.jobs.kinds import register


def register_job_kinds() -> None:
    for kind in (
        SubmitOrderJob(),
        CancelOrderJob(),
        TakeBackJob(),
        ReplaceOrderJob(),
        SyncAccountJob(),
        SyncAllJob(),
        RefreshInstrumentsJob(),
        SealHistoryJob(),
        StopOrdersJob(),
        CheckOrderJob(),
        CheckpointJob(),
    ):
        register(kind)
