from django.urls import path

from brokers.api import (
    account_proposals,
    baskets,
    exposure,
    external_orders,
    freezes,
    holdings,
    kill_switch,
    setup,
    views,
)

urlpatterns = [
    path("orders", views.OrderListView.as_view()),  # each order comes this way: an address is looked up from the top
    path("orders:batch", views.OrderBatchView.as_view()),
    path("baskets", baskets.BasketListView.as_view()),
    path("baskets/<uuid:basket_id>", baskets.BasketView.as_view()),
    path("baskets/<uuid:basket_id>/cancel", baskets.BasketCancelView.as_view()),
    path("exposure", exposure.ExposureListView.as_view()),
    path("external-orders", external_orders.ExternalOrderListView.as_view()),
    path("freezes", freezes.FreezeListView.as_view()),
    path("freezes/<int:freeze_id>", freezes.FreezeView.as_view()),
    path("freezes/<int:freeze_id>/release", freezes.FreezeReleaseView.as_view()),
    path("freezes/<int:freeze_id>/release-request", freezes.FreezeReleaseRequestView.as_view()),
    path("freezes/<int:freeze_id>/release-confirmation", freezes.FreezeConfirmView.as_view()),
    path("kill-switches", kill_switch.KillSwitchListView.as_view()),
    path("kill-switches/<int:switch_id>", kill_switch.KillSwitchView.as_view()),
    path("kill-switches/<int:switch_id>/release-request", kill_switch.ReleaseRequestView.as_view()),
    path("kill-switches/<int:switch_id>/release", kill_switch.ReleaseView.as_view()),
    path("orders/<uuid:order_id>", views.OrderView.as_view()),
    path("orders/<uuid:order_id>/history", views.OrderHistoryView.as_view()),
    path("orders/<uuid:order_id>/cancel", views.OrderCancelView.as_view()),
    path("positions", views.PositionListView.as_view()),
    path("positions/then", holdings.PositionsThenView.as_view()),
    path("positions/history", holdings.PositionHistoryView.as_view()),
    path("balances", holdings.BalanceListView.as_view()),
    path("cash-entries", holdings.CashEntryListView.as_view()),
    path("accounts", views.AccountListView.as_view()),
    path("accounts/<slug:account>/credentials", setup.AccountCredentialsView.as_view()),
    path("brokers/<slug:broker>/limits", setup.BrokerLimitsView.as_view()),
    path("account-proposals", account_proposals.AccountProposalView.as_view()),
]
