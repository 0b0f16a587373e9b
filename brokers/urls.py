from django.urls import path

from brokers import views

urlpatterns = [
    path("kill-switch/engage", views.engage_kill_switch, name="engage-kill-switch"),
    path("kill-switch/<int:switch_id>/ask", views.request_kill_switch_release, name="request-release"),
    path("kill-switch/<int:switch_id>/confirm", views.confirm_kill_switch_release, name="confirm-release"),
    path("orders/<uuid:order_id>", views.order_page, name="order"),
    path("orders/<uuid:order_id>/live", views.order_live, name="order-live"),
    path("orders/<uuid:order_id>/cancel", views.cancel_order, name="cancel-order"),
]
