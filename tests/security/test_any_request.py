"""Whatever is sent to the API, well formed or not, no answer is a 500 and each error has the published format.

Requests are made from the OpenAPI document by schemathesis: half of them as it says, half against it. For a longer run:
``STANCHION_API_EXAMPLES=300 make test ARGS="tests/security/test_any_request.py"``.
"""

import json
import os
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from django.db import connection
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from knox.models import AuthToken
from schemathesis import GenerationMode

from brokers.services.accounts import forget_accounts
from reliability.core.catalog import CATALOG
from tests.factories import make_account, make_dead_letter, make_order, make_user

EXAMPLES = int(os.environ.get("STANCHION_API_EXAMPLES", "4"))
DOCUMENT = SchemaGenerator().get_schema(request=None, public=True)
OPERATIONS = [result.ok() for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(1800)]


@pytest.fixture
def client() -> Client:
    """A caller who may do everything, where there is something to do it with."""
    user = make_user(name="ann")
    user.is_superuser = True
    user.save()
    forget_accounts()
    account = make_account(is_default=True)
    make_order(account, user)
    make_dead_letter()
    _, token = AuthToken.objects.create(user)
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})


def send(client: Client, case: Any) -> Any:
    body = case.body
    known = isinstance(body, dict | list | str | int | float | bool) or body is None
    data = json.dumps(body) if known else b""
    headers = {str(name): _one_line(value) for name, value in (case.headers or {}).items()}
    query = urlencode([(name, one) for name, value in (case.query or {}).items() for one in _listed(value)])
    headers.pop("Authorization", None)
    return client.generic(
        case.method, case.formatted_path or "/", data, "application/json", headers=headers, QUERY_STRING=query
    )


def _one_line(value: Any) -> str:
    return str(value).replace("\r", "").replace("\n", "")


def _listed(value: Any) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value])]


def judge(answer: Any, case: Any) -> None:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    seen = f"{case.method} {case.formatted_path} {case.query} {case.body!r}: {content[:500]!r}"
    assert answer.status_code < 500 or answer.status_code == 503, seen
    if answer.status_code >= 400 and case.formatted_path.startswith("/api/"):
        error = json.loads(content)["error"]
        assert error["code"] in CATALOG, seen
        assert error["code"] != "SYSTEM_UNEXPECTED", seen


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as-said", "against-it"])
def test_no_request_is_answered_with_a_failure_of_ours(client: Client, mode: GenerationMode) -> None:
    assert len(OPERATIONS) > 90
    for operation in OPERATIONS:
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except Exception as error:  # the document allows everything there: nothing is against it
            if mode is GenerationMode.NEGATIVE and "negative" in str(error).lower():
                continue
            raise

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def knock(case: Any) -> None:
            judge(send(client, case), case)

        knock()
        assert not connection.needs_rollback
