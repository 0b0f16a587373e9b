from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    name = "reconciliation"
    verbose_name = "Reconciliation"

    def ready(self) -> None:
        from brokers.services.streams.companions import add_companion
        from reconciliation.services.disruptions import watch_disruptions, watch_left_frozen
        from reconciliation.services.drills import DrillJob, ScheduledDrillJob
        from reconciliation.services.freeze_watch import watch_freezes
        from reconciliation.services.gap_checks import register_gap_check
        from reconciliation.services.job_kinds import register_job_kinds
        from reconciliation.services.market_data.feed_levels import declare_feeds
        from reconciliation.services.market_data.feed_supervisor import keep_feeds
        from reconciliation.services.market_data.watching import check_account_gaps, watch_market_data
        from reconciliation.services.measures import connect_measures
        from reconciliation.services.recovery_steps import RecoverySaga
        from reconciliation.services.resolutions import register_proposals
        from reconciliation.services.retention import register_keepers
        from reconciliation.services.runbook_actions import register_reconciliation_actions
        from reconciliation.services.settled_symbols import watch_settled_symbols
        from reliability.services.jobs.kinds import register
        from reliability.services.sagas.step_job import register_saga_kind
        from reliability.services.watches import add_watch

        register_job_kinds()
        register(DrillJob())
        register(ScheduledDrillJob())
        register_reconciliation_actions()
        register_saga_kind(RecoverySaga())
        add_watch(watch_disruptions)
        add_watch(watch_left_frozen)
        add_watch(watch_freezes)
        add_watch(watch_settled_symbols)
        add_watch(watch_market_data, "data.gap", "data.stale", "feed.silent", "data.quality")
        register_gap_check(check_account_gaps)
        add_companion(keep_feeds)
        register_keepers()
        register_proposals()
        connect_measures()
        declare_feeds()
