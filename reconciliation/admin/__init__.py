from reconciliation.admin import drills, reconciliations, recovery

__all__ = ["drills", "reconciliations", "recovery"]
