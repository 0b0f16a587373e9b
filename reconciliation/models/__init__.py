from reconciliation.models.runs import Discrepancy, ReconciliationMark, ReconciliationRun

__all__ = ["Discrepancy", "ReconciliationMark", "ReconciliationRun"]
