from django.apps import AppConfig


class BrokersConfig(AppConfig):
    name = "brokers"
    verbose_name = "Brokers"

    def ready(self) -> None:
        from brokers.adapters.failure_rules import register_failure_rules
        from brokers.services.degradation import declare_operations
        from brokers.services.job_kinds import register_job_kinds
        from reliability.services.classification import register

        register_failure_rules(register)
        register_job_kinds()
        declare_operations()
