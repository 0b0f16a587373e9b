"""Settings of a stack whose waiting orders come back all at once: what the pace is measured against."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as _INSTALLED_APPS

INSTALLED_APPS = [*_INSTALLED_APPS, "benchmarks.isolation.unpaced.UnpacedConfig"]
