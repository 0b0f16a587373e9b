"""Taking the pace away from the processes of a stack that runs on ``unpaced_settings``."""

from django.apps import AppConfig

NO_PACE = 1e9


class UnpacedConfig(AppConfig):
    name = "benchmarks.isolation"
    label = "unpaced"

    def ready(self) -> None:
        from brokers.services import guards
        from reliability.services.jobs import recall

        guards.RECOVERY_PER_SECOND = NO_PACE
        defaults = recall.recall_jobs.__kwdefaults__
        assert defaults is not None
        defaults["per_second"] = NO_PACE
