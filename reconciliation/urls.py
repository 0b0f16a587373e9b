"""Pages of this app for operators."""

from django.urls import path

from reconciliation.views import market_data, reconciliations, recovery

urlpatterns = [
    path("market-data", market_data.overview, name="market-data"),
    path("market-data/live", market_data.overview_live, name="market-data-live"),
    path("market-data/gaps/<int:gap_id>/accept", market_data.accept, name="accept-gap"),
    path("market-data/gaps/<int:gap_id>/retry", market_data.retry, name="retry-gap"),
    path("market-data/bars/<int:bar_id>/confirm", market_data.confirm, name="confirm-bar"),
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
    path(
        "reconciliation/discrepancies/<int:discrepancy_id>/adjust",
        reconciliations.adjust_discrepancy,
        name="adjust-discrepancy",
    ),
    path(
        "reconciliation/discrepancies/<int:discrepancy_id>/book",
        reconciliations.book_discrepancy,
        name="book-discrepancy",
    ),
    path("recoveries", recovery.recovery_list, name="recoveries"),
    path("recoveries/live", recovery.recovery_list_live, name="recoveries-live"),
    path("recoveries/begin", recovery.recover_account, name="recover-account"),
    path("recoveries/<int:run_id>", recovery.recovery_page, name="recovery"),
    path("recoveries/<int:run_id>/live", recovery.recovery_live, name="recovery-live"),
]
