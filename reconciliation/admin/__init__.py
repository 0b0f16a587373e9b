from reconciliation.admin import reconciliations

__all__ = ["reconciliations"]
