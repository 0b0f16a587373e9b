from django.urls import path

from reliability.api import alerts, circuits, guesses, status, views

urlpatterns = [
    path("dead-letters", views.DeadLetterListView.as_view()),
    path("dead-letters/<int:job_id>", views.DeadLetterView.as_view()),
    path("dead-letters/replay", views.DeadLetterActionView.as_view(action="replay")),
    path("dead-letters/discard", views.DeadLetterActionView.as_view(action="discard")),
    path("lanes", views.LaneListView.as_view()),
    path("lanes/<slug:name>/pause", views.LaneActionView.as_view(action="pause")),
    path("lanes/<slug:name>/resume", views.LaneActionView.as_view(action="resume")),
    path("errors/catalog", views.ErrorCatalogView.as_view()),
    path("errors/guesses", guesses.GuessListView.as_view()),
    path("errors/guesses/<int:guess_id>", guesses.GuessView.as_view()),
    path("errors/guesses/<int:guess_id>/confirm", guesses.GuessConfirmView.as_view()),
    path("errors/guesses/<int:guess_id>/reject", guesses.GuessRejectView.as_view()),
    path("circuits", circuits.CircuitListView.as_view()),
    path("circuits/<path:name>/history", circuits.CircuitHistoryView.as_view()),
    path("circuits/<path:name>/pin", circuits.CircuitPinView.as_view()),
    path("circuits/<path:name>/unpin", circuits.CircuitActionView.as_view(action="unpin")),
    path("circuits/<path:name>/reset", circuits.CircuitActionView.as_view(action="reset")),
    path("circuits/<path:name>", circuits.CircuitView.as_view()),
    path("alerts", alerts.AlertListView.as_view()),
    path("alerts/acknowledge", alerts.AlertAcknowledgeView.as_view()),
    path("alerts/<int:alert_id>", alerts.AlertView.as_view()),
    path("status", status.StatusView.as_view()),
    path("processes", views.ProcessListView.as_view()),
]
