"""The life of one reconciliation run."""

from datetime import timedelta
from enum import StrEnum

# What happened so shortly before the broker was asked may not have reached one of both sides yet.
GRACE = timedelta(seconds=5)
MOST_LOOKS = 4


class RunKind(StrEnum):
    """``INCREMENTAL`` reads executions from the last clean mark on, ``FULL`` from the beginning."""

    INCREMENTAL = "incremental"
    FULL = "full"


class RunState(StrEnum):
    """``CLEAN`` and ``DIFFERENCES`` are verdicts; ``INCONCLUSIVE`` is none: an answer was missing or partial."""

    QUEUED = "queued"
    RUNNING = "running"
    CLEAN = "clean"
    DIFFERENCES = "differences"
    INCONCLUSIVE = "inconclusive"


class RunStep(StrEnum):
    """What the run does next. Each step is one or more calls and one transaction, and can be repeated."""

    ORDERS = "orders"
    FILLS = "fills"
    HOLDINGS = "holdings"
    LOOK_AGAIN = "look_again"
    DONE = "done"


FINISHED = (RunState.CLEAN, RunState.DIFFERENCES, RunState.INCONCLUSIVE)
UNFINISHED = (RunState.QUEUED, RunState.RUNNING)
