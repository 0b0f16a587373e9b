from django.urls import path

from reliability.views import dead_letters, lanes

urlpatterns = [
    path("lanes/<slug:name>/pause", lanes.pause, name="pause-lane"),
    path("lanes/<slug:name>/resume", lanes.resume, name="resume-lane"),
    path("dead-letters/replay", dead_letters.replay, name="replay-dead-letters"),
    path("dead-letters/discard", dead_letters.discard, name="discard-dead-letters"),
]
