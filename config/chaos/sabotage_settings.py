"""Settings of a stack whose protections can be taken away, and which knows a job that kills its process."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as _INSTALLED_APPS

INSTALLED_APPS = [*_INSTALLED_APPS, "config.chaos.sabotage.SabotageConfig"]
