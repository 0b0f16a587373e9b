from django.urls import path

from reliability.views import alerts, circuits, dead_letters, incidents, interventions, lanes, runbooks, service_levels

urlpatterns = [
    path("service-levels", service_levels.service_levels, name="service-levels"),
    path("interventions/<int:pk>", interventions.intervention_page, name="intervention"),
    path("interventions/<int:pk>/live", interventions.intervention_live, name="intervention-live"),
    path("interventions/<int:pk>/claim", interventions.claim, name="claim-intervention"),
    path("interventions/<int:pk>/acknowledge", interventions.acknowledge, name="acknowledge-intervention"),
    path("interventions/<int:pk>/decide", interventions.decide, name="decide-intervention"),
    path("interventions/<int:pk>/confirm", interventions.confirm, name="confirm-intervention"),
    path("interventions/<int:pk>/reject", interventions.reject, name="reject-intervention"),
    path("incidents", incidents.incident_list, name="incidents"),
    path("incidents/<int:pk>", incidents.incident_page, name="incident"),
    path("incidents/<int:pk>/live", incidents.incident_live, name="incident-live"),
    path("incidents/<int:pk>/acknowledge", incidents.acknowledge, name="acknowledge-incident"),
    path("incidents/<int:pk>/decide", incidents.decide, name="decide-incident"),
    path("runbooks", runbooks.runbook_list, name="runbooks"),
    path("runbooks/executions/<int:pk>", runbooks.execution, name="runbook-execution"),
    path("runbooks/executions/<int:pk>/live", runbooks.execution_live, name="runbook-execution-live"),
    path("runbooks/executions/<int:pk>/step", runbooks.step, name="runbook-step"),
    path("runbooks/<str:name>", runbooks.runbook, name="runbook"),
    path("runbooks/<str:name>/start", runbooks.start, name="start-runbook"),
    path("alerts/acknowledge", alerts.acknowledge, name="acknowledge-alerts"),
    path("lanes/<slug:name>/pause", lanes.pause, name="pause-lane"),
    path("lanes/<slug:name>/resume", lanes.resume, name="resume-lane"),
    path("circuits/<path:name>/pin", circuits.pin, name="pin-circuit"),
    path("circuits/<path:name>/unpin", circuits.unpin, name="unpin-circuit"),
    path("circuits/<path:name>/reset", circuits.reset, name="reset-circuit"),
    path("dead-letters/replay", dead_letters.replay, name="replay-dead-letters"),
    path("dead-letters/discard", dead_letters.discard, name="discard-dead-letters"),
]
