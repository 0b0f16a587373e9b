from django.apps import AppConfig


class BrokersConfig(AppConfig):
    name = "brokers"
    verbose_name = "Brokers"

    def ready(self) -> None:
        from brokers.adapters.failure_rules import register_failure_rules
        from brokers.services.account_proposals import proposal_kinds
        from brokers.services.accounts import find_broker_of
        from brokers.services.alert_checks import check_halts, check_streams
        from brokers.services.baskets.legs import BasketSaga
        from brokers.services.credential_changes import credentials_kind
        from brokers.services.degradation import declare_operations
        from brokers.services.health_checks import register_checks
        from brokers.services.job_kinds import register_job_kinds
        from brokers.services.limits import limits_kind
        from brokers.services.measures import connect_measures
        from brokers.services.order_interventions import order_kind
        from brokers.services.runbook_actions import register_broker_actions
        from brokers.services.stop_interventions import check_stops, stop_kinds
        from brokers.services.unknown_orders import check_unknown_orders
        from reliability.services.alert_conditions import add_check
        from reliability.services.changes import register_change_kind
        from reliability.services.classification import register
        from reliability.services.interventions import register_intervention_kind
        from reliability.services.owners import register_owner
        from reliability.services.sagas.step_job import register_saga_kind

        register_failure_rules(register)
        register_job_kinds()
        register_saga_kind(BasketSaga())
        declare_operations()
        connect_measures()
        add_check(check_unknown_orders, "order.unknown_aged", "intervention.needed")
        add_check(check_streams, "stream.silent")
        add_check(check_halts, "trading.halted", "trading.frozen")
        add_check(check_stops, "intervention.needed")
        register_broker_actions()
        register_change_kind(limits_kind())
        register_change_kind(credentials_kind())
        register_owner(find_broker_of)
        register_intervention_kind(order_kind("/admin/brokers/order/{}/decide/"))
        for kind in stop_kinds("/admin/brokers/killswitch/{}/change/", "/admin/brokers/freeze/{}/change/"):
            register_intervention_kind(kind)
        for kind in proposal_kinds("/admin/brokers/position/", "/admin/brokers/cashentry/"):
            register_intervention_kind(kind)
        register_checks()
