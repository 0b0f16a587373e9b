"""Every page that a person can open: the list of addresses that rights are checked on, with rows to fill them."""

import re
from datetime import timedelta
from typing import Any

from django.utils import timezone

from config.access import list_entrances
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.services.recovery import request_recovery
from reliability.models import ProposedChange
from tests.browser.test_incidents import handle
from tests.factories import make_order

# Of admin: each template of ours, and each kind of form and list that people work with.
ADMIN = (
    "admin/",
    "admin/reliability/deadletter/",
    "admin/reliability/circuit/",
    "admin/reliability/errorguess/",
    "admin/reliability/errorrule/add/",
    "admin/reliability/legalhold/add/",
    "admin/reliability/heartbeat/",
    "admin/reliability/rota/add/",
    "admin/reliability/incident",
    "admin/reliability/alert/",
    "admin/reliability/intervention/",
    "admin/brokers/order",
    "admin/auth/user",
    "admin/brokers/freeze/",
    "admin/brokers/killswitch/",
)
# Addresses that answer no page: fragments of one, and what programs ask.
_NO_PAGES = re.compile(r"^(api/(?!v1/docs)|\^api|health/|metrics$|flower/<)|(^|/)live$")


def make_rows(desk: Any) -> dict[str, str]:
    """Make one row of everything that has a page; return its address for each route with a number or a name in it."""
    incident, question, execution = handle(desk)
    account, now = desk["account"], timezone.now()
    order = make_order(account, desk["person"], symbol="NVDA")
    run = ReconciliationRun.objects.create(
        account=account, kind="full", trigger="person", requested_by="ann", state="differences", finished_at=now
    )
    difference = Discrepancy.objects.create(
        account=account, run=run, last_run=run, kind="position", subject_type="position", subject="AAPL", symbol="AAPL",
        recorded={"quantity": "1"}, reported={"quantity": "2"}, state="open",
    )  # fmt: skip
    change = ProposedChange.objects.create(
        kind="broker_limits", subject="broker:desk-broker", title="Raise the limits of desk-broker",
        reason="the broker allows more", content={"calls_per_minute": 400}, proposed_by="ann", proposed_at=now,
        expires_at=now + timedelta(minutes=30),
    )  # fmt: skip
    recovery = request_recovery(account.pk, trigger="stream_returned", by="watch")
    return {
        "accounts/<slug:name>": f"/accounts/{account.name}",
        "orders/<uuid:order_id>": f"/orders/{order.pk}",
        "interventions/<int:pk>": f"/interventions/{question}",
        "changes/<int:pk>": f"/changes/{change.pk}",
        "incidents/<int:pk>": f"/incidents/{incident}",
        "runbooks/executions/<int:pk>": f"/runbooks/executions/{execution}",
        "runbooks/<str:name>": "/runbooks/alert:stream.silent",
        "reconciliation/runs/<int:run_id>": f"/reconciliation/runs/{run.pk}",
        "reconciliation/discrepancies/<int:discrepancy_id>": f"/reconciliation/discrepancies/{difference.pk}",
        "recoveries/<int:run_id>": f"/recoveries/{recovery}",
        "admin/reliability/incident": f"/admin/reliability/incident/{incident}/change/",
        "admin/brokers/order": f"/admin/brokers/order/{order.pk}/change/",
        "admin/auth/user": f"/admin/auth/user/{desk['person'].pk}/change/",
    }


def page_routes() -> list[str]:
    """Return the route of every page that is ours, each once."""
    routes = [one.route for one in list_entrances() if one.method == "GET" and not _NO_PAGES.search(one.route)]
    return sorted(set(routes))


def address_of(route: str, rows: dict[str, str]) -> str:
    """Return where the page of a route is; raises ``KeyError`` for one that has no row to show."""
    return rows[route] if "<" in route or route in rows else f"/{route}"
