"""Values of this app, read once from ``settings.RELIABILITY``."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from django.conf import settings


@dataclass(frozen=True, slots=True)
class ReliabilityConf:
    """``job_lease`` is how long a claimed job belongs to its worker without a word from it."""

    job_lease: timedelta = timedelta(seconds=10)
    flower_url: str = ""
    poll_interval: timedelta = timedelta(milliseconds=250)
    heartbeat_interval: timedelta = timedelta(milliseconds=250)
    silence_limit: timedelta = timedelta(seconds=1)
    max_crashes: int = 3


@cache
def get_conf() -> ReliabilityConf:
    return ReliabilityConf(**settings.RELIABILITY)
