"""How long pages and lists take over that history."""

import time
from functools import partial
from typing import Any

AIM_MILLISECONDS = 300


def measure_pages(rounds: int) -> dict[str, Any]:
    """Return median and 95th percentile of each page, in milliseconds, and how many statements it makes."""
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client

    from reliability.models import ErrorGroup, Incident

    person, _ = get_user_model().objects.get_or_create(
        username="bench-reader", defaults={"is_staff": True, "is_superuser": True}
    )
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(person)
    newest, middle = Incident.objects.latest("id").pk, Incident.objects.earliest("id").pk + 1000
    group = ErrorGroup.objects.latest("id").pk
    addresses = {
        "operator screen": "/",
        "incidents": "/incidents?state=",
        "incidents, far back": f"/incidents?state=&after={middle}",
        "one incident": f"/incidents/{newest}",
        "incidents in admin": "/admin/reliability/incident/",
        "alerts in admin": "/admin/reliability/alert/",
        "error groups in admin": "/admin/reliability/errorgroup/",
        "errors in admin": "/admin/reliability/errorevent/",
        "one error group in admin": f"/admin/reliability/errorgroup/{group}/change/",
        "incidents over HTTP": "/api/v1/incidents?limit=100",
        "one error group over HTTP": f"/api/v1/errors/groups/{group}",
        "response times over HTTP": "/api/v1/incidents/response-times",
    }
    answer: dict[str, Any] = {"aim at the 95th percentile": AIM_MILLISECONDS}
    for name, address in addresses.items():
        client.get(address)
        statements: list[str] = []
        with connection.execute_wrapper(partial(_note, statements)):
            response = client.get(address)
        assert response.status_code == 200, (address, response.status_code, response.headers.get("Location"))
        taken = sorted(_timed(client, address) for _ in range(rounds))
        p95 = taken[min(rounds - 1, int(0.95 * rounds))]
        answer[name] = {"median": round(taken[rounds // 2]), "p95": round(p95), "statements": len(statements)}
    return answer


def _note(statements: list[str], execute: Any, sql: str, *rest: Any) -> Any:
    statements.append(sql)
    return execute(sql, *rest)


def _timed(client: Any, address: str) -> float:
    began = time.perf_counter()
    client.get(address)
    return (time.perf_counter() - began) * 1000
