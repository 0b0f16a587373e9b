"""Values of this app, read once from ``settings.BROKERS``."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings


@dataclass(frozen=True, slots=True)
class BrokersConf:
    """``settle_time`` is the least age of an unknown order before its absence is believed.

    ``private_networks`` are those that brokers may be in. ``anchor_file`` is where anchors of the history are
    copied to; blank: the log only.
    """

    encryption_keys: tuple[str, ...]
    settle_time: timedelta = timedelta(seconds=5)
    submit_within: timedelta = timedelta(minutes=5)
    anchor_file: str = ""
    private_networks: tuple[str, ...] = ()


@cache
def get_conf() -> BrokersConf:
    values: dict[str, Any] = settings.BROKERS
    return BrokersConf(**values)
