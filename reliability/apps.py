from django.apps import AppConfig


class ReliabilityConfig(AppConfig):
    name = "reliability"
    verbose_name = "Reliability"

    def ready(self) -> None:
        from django.db import connection

        from reliability.services.delivery import DeliverJob
        from reliability.services.escalation_audit import AuditEscalationJob
        from reliability.services.fold_job import FoldMetricsJob
        from reliability.services.health_checks import register_checks
        from reliability.services.heartbeat_job import HeartbeatJob
        from reliability.services.jobs.bulk_replay import register_bulk_replay
        from reliability.services.jobs.kinds import register
        from reliability.services.jobs.messages import CeleryMessageJob
        from reliability.services.measures import connect_measures
        from reliability.services.records import connect_records
        from reliability.services.retention.own_keepers import register_own_keepers
        from reliability.services.retention.upkeep_job import UpkeepJob
        from reliability.services.runbook_actions import register_own_actions
        from reliability.services.service_level_jobs import SampleServicesJob, ThinSamplesJob
        from reliability.services.session_check import register_session_check

        register(CeleryMessageJob())
        register(UpkeepJob())
        register_own_keepers()
        register(DeliverJob())
        register_own_actions()
        register_bulk_replay()
        register(HeartbeatJob())
        register(AuditEscalationJob())
        register(FoldMetricsJob())
        register(SampleServicesJob())
        register(ThinSamplesJob())
        if connection.vendor == "postgresql":  # a project that only guards its own calls may have no such database
            register_session_check()
            connect_records()
            connect_measures()
            register_checks()
