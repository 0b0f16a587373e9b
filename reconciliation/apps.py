from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    name = "reconciliation"
    verbose_name = "Reconciliation"

    def ready(self) -> None:
        from reconciliation.services.disruptions import watch_disruptions
        from reconciliation.services.drills import DrillJob, ScheduledDrillJob
        from reconciliation.services.freeze_watch import watch_freezes
        from reconciliation.services.job_kinds import register_job_kinds
        from reconciliation.services.recovery_steps import RecoverySaga
        from reconciliation.services.runbook_actions import register_reconciliation_actions
        from reliability.services.jobs.kinds import register
        from reliability.services.sagas.step_job import register_saga_kind
        from reliability.services.watches import add_watch

        register_job_kinds()
        register(DrillJob())
        register(ScheduledDrillJob())
        register_reconciliation_actions()
        register_saga_kind(RecoverySaga())
        add_watch(watch_disruptions)
        add_watch(watch_freezes)
