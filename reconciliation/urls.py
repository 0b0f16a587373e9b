"""Pages of this app for operators."""

from django.urls import path

from reconciliation.views import reconciliations

urlpatterns = [
    path("reconciliation", reconciliations.overview, name="reconciliation"),
    path("reconciliation/live", reconciliations.overview_live, name="reconciliation-live"),
    path("reconciliation/request", reconciliations.request_reconciliation, name="request-reconciliation"),
    path("reconciliation/runs/<int:run_id>", reconciliations.run_page, name="reconciliation-run"),
    path("reconciliation/runs/<int:run_id>/live", reconciliations.run_live, name="reconciliation-run-live"),
    path("reconciliation/discrepancies/<int:discrepancy_id>", reconciliations.discrepancy_page, name="discrepancy"),
    path(
        "reconciliation/discrepancies/<int:discrepancy_id>/accept",
        reconciliations.accept_discrepancy,
        name="accept-discrepancy",
    ),
]
