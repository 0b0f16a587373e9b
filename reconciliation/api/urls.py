"""This app over HTTP."""

from django.urls import path

from reconciliation.api import backfills, drills, freshness, market_data, reconciliations, recovery

urlpatterns = [
    path("drills", drills.DrillListView.as_view()),
    path("bars", market_data.BarListView.as_view()),
    path("gaps", market_data.GapListView.as_view()),
    path("backfills", backfills.BackfillView.as_view()),
    path("freshness", freshness.FreshnessView.as_view()),
    path("reconciliations", reconciliations.ReconciliationListView.as_view()),
    path("reconciliations/<int:run_id>", reconciliations.ReconciliationView.as_view()),
    path("discrepancies", reconciliations.DiscrepancyListView.as_view()),
    path("discrepancies/<int:discrepancy_id>/accept", reconciliations.DiscrepancyAcceptView.as_view()),
    path("recoveries", recovery.RecoveryListView.as_view()),
    path("recoveries/<int:run_id>", recovery.RecoveryView.as_view()),
]
