from reconciliation.admin import reconciliations, recovery

__all__ = ["reconciliations", "recovery"]
