from django.apps import AppConfig


class ReliabilityConfig(AppConfig):
    name = "reliability"
    verbose_name = "Reliability"

    def ready(self) -> None:
        from reliability.services.jobs.kinds import register
        from reliability.services.jobs.messages import CeleryMessageJob
        from reliability.services.records import connect_records

        register(CeleryMessageJob())
        connect_records()
