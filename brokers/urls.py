from django.urls import path

from brokers import views

urlpatterns = [
    path("orders/<uuid:order_id>", views.order_page, name="order"),
    path("orders/<uuid:order_id>/live", views.order_live, name="order-live"),
    path("orders/<uuid:order_id>/cancel", views.cancel_order, name="cancel-order"),
]
