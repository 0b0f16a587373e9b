from reconciliation.admin import drills, market_data, reconciliations, recovery

__all__ = ["drills", "market_data", "reconciliations", "recovery"]
