from reconciliation.models.bars import Bar, BarRevision, BarSeries, QuestionableBar
from reconciliation.models.drills import Drill
from reconciliation.models.feeds import BackfillAttempt, BarConflict, Feed, FeedSubscription, LastTick
from reconciliation.models.gaps import Gap, GapEvent
from reconciliation.models.recovery import RecoveryRun, RecoveryTrigger, Watchtower
from reconciliation.models.releases import BarRelease, ReleaseCursor
from reconciliation.models.runs import Discrepancy, ReconciliationMark, ReconciliationRun

__all__ = [
    "BackfillAttempt",
    "Bar",
    "BarConflict",
    "BarRelease",
    "BarRevision",
    "BarSeries",
    "Discrepancy",
    "Drill",
    "Feed",
    "FeedSubscription",
    "Gap",
    "GapEvent",
    "LastTick",
    "QuestionableBar",
    "ReconciliationMark",
    "ReconciliationRun",
    "RecoveryRun",
    "RecoveryTrigger",
    "ReleaseCursor",
    "Watchtower",
]
