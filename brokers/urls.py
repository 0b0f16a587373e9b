from django.urls import path

from brokers import views

urlpatterns = [
    path("accounts/<slug:name>", views.account_page, name="account"),
    path("accounts/<slug:name>/live", views.account_live, name="account-live"),
    path("kill-switch/engage", views.engage_kill_switch, name="engage-kill-switch"),
    path("kill-switch/<int:switch_id>/ask", views.request_kill_switch_release, name="request-release"),
    path("kill-switch/<int:switch_id>/confirm", views.confirm_kill_switch_release, name="confirm-release"),
    path("freezes/<int:freeze_id>/release", views.release_one_freeze, name="release-freeze"),
    path("freezes/<int:freeze_id>/ask", views.ask_for_freeze_release, name="request-freeze-release"),
    path("freezes/<int:freeze_id>/confirm", views.confirm_one_freeze_release, name="confirm-freeze-release"),
    path("orders/<uuid:order_id>", views.order_page, name="order"),
    path("orders/<uuid:order_id>/live", views.order_live, name="order-live"),
    path("orders/<uuid:order_id>/cancel", views.cancel_order, name="cancel-order"),
]
