"""This app over HTTP."""

from django.urls import path

from reconciliation.api import reconciliations

urlpatterns = [
    path("reconciliations", reconciliations.ReconciliationListView.as_view()),
    path("reconciliations/<int:run_id>", reconciliations.ReconciliationView.as_view()),
    path("discrepancies", reconciliations.DiscrepancyListView.as_view()),
    path("discrepancies/<int:discrepancy_id>/accept", reconciliations.DiscrepancyAcceptView.as_view()),
]
