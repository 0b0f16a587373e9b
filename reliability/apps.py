from django.apps import AppConfig


class ReliabilityConfig(AppConfig):
    name = "reliability"
    verbose_name = "Reliability"

    def ready(self) -> None:
        from django.db import connection

        from reliability.services.jobs.kinds import register
        from reliability.services.jobs.messages import CeleryMessageJob
        from reliability.services.records import connect_records

        register(CeleryMessageJob())
        if connection.vendor == "postgresql":  # a project that only guards its own calls may have no such database
            connect_records()
