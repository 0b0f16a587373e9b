from django.urls import path

from brokers.api import baskets, views

urlpatterns = [
    path("baskets", baskets.BasketListView.as_view()),
    path("baskets/<uuid:basket_id>", baskets.BasketView.as_view()),
    path("baskets/<uuid:basket_id>/cancel", baskets.BasketCancelView.as_view()),
    path("orders", views.OrderListView.as_view()),
    path("orders:batch", views.OrderBatchView.as_view()),
    path("orders/<uuid:order_id>", views.OrderView.as_view()),
    path("orders/<uuid:order_id>/history", views.OrderHistoryView.as_view()),
    path("orders/<uuid:order_id>/cancel", views.OrderCancelView.as_view()),
    path("positions", views.PositionListView.as_view()),
    path("accounts", views.AccountListView.as_view()),
]
