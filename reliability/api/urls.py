from django.urls import path

from reliability.api import views

urlpatterns = [
    path("dead-letters", views.DeadLetterListView.as_view()),
    path("dead-letters/<int:job_id>", views.DeadLetterView.as_view()),
    path("dead-letters/replay", views.DeadLetterActionView.as_view(action="replay")),
    path("dead-letters/discard", views.DeadLetterActionView.as_view(action="discard")),
    path("lanes", views.LaneListView.as_view()),
    path("lanes/<slug:name>/pause", views.LaneActionView.as_view(action="pause")),
    path("lanes/<slug:name>/resume", views.LaneActionView.as_view(action="resume")),
    path("errors/catalog", views.ErrorCatalogView.as_view()),
    path("processes", views.ProcessListView.as_view()),
]
