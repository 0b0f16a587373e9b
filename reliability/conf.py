"""Values of this app, read once from ``settings.RELIABILITY``."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from django.conf import settings


@dataclass(frozen=True, slots=True)
class ReliabilityConf:
    """``job_lease`` is how long a claimed job belongs to its worker without a word from it.

    ``redis_url`` is where processes share the state of circuits; blank: each decides alone.
    ``flower_url`` is asked under ``flower_login`` (user:password) and shown to those who are logged in here.
    ``export_directory`` is where rows are written to before they are dropped; blank: what must be exported stays.
    ``traces_url`` is where spans are sent to, or ``console``; blank: nothing is traced. ``traces_ratio`` of the traces
    that begin here are kept.
    ``requests_per_second`` of one user are answered by all web processes together; 0: as many as come.
    ``release`` is what these processes are: errors name it, and its first start is marked.
    A job whose process died ``max_crashes`` times is a dead letter.
    ``calling_processes`` is among how many processes a rate limit is divided while Redis is away.
    """

    job_lease: timedelta = timedelta(seconds=10)
    flower_url: str = ""
    flower_login: str = ""
    redis_url: str = ""
    calling_processes: int = 4
    poll_interval: timedelta = timedelta(milliseconds=250)
    heartbeat_interval: timedelta = timedelta(milliseconds=250)
    silence_limit: timedelta = timedelta(seconds=1)
    max_crashes: int = 5
    export_directory: str = ""
    traces_url: str = ""
    traces_ratio: float = 1.0
    public_url: str = ""
    private_channels: bool = False
    heartbeat_url: str = ""
    encryption_keys: tuple[str, ...] = ()
    requests_per_second: int = 0
    release: str = ""


@cache
def get_conf() -> ReliabilityConf:
    return ReliabilityConf(**settings.RELIABILITY)
