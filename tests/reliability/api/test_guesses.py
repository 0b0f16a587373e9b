"""Guesses over HTTP: listing, confirming, rejecting, and what a caller can get wrong."""

import pytest
from django.test import Client

from reliability.core.classification import Operation, RawFailure
from reliability.models import ErrorGuess, ErrorRule
from reliability.services.classification import preview
from reliability.services.error_guesses import GuessCounter
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send

pytestmark = pytest.mark.django_db

LIST = "/api/v1/errors/guesses"


@pytest.fixture
def client() -> Client:
    return client_of(make_user("reliability.view_errorguess", "reliability.decide_errorguess", name="night"))


@pytest.fixture
def guesses() -> list[ErrorGuess]:
    counter = GuessCounter()
    for source in ("odd_broker", "other_broker", "odd_broker"):
        counter.note(preview(RawFailure(source, Operation.SUBMIT, "E-77", "order 1 is not wanted")))
    counter.write()
    return list(ErrorGuess.objects.order_by("source"))


def test_guesses_are_listed_by_source_and_state_page_by_page(client, guesses):
    found = client.get(LIST, {"source": "odd_broker"}).json()["results"]
    first = client.get(LIST, {"limit": 1}).json()
    second = client.get(LIST, {"limit": 1, "after": first["next_after"]}).json()

    assert [(one["source"], one["count"], one["state"], one["ambiguous"]) for one in found] == [
        ("odd_broker", 2, "new", True)
    ]
    assert {first["results"][0]["id"], second["results"][0]["id"]} == {guess.pk for guess in guesses}
    assert client.get(LIST, {"state": "rejected"}).json()["results"] == []


def test_a_guess_is_confirmed_once(client, guesses):
    path = f"{LIST}/{guesses[0].pk}"
    answer = send(client, "POST", path + "/confirm", {"code": "BROKER_UNAVAILABLE", "reason": "documented"})

    assert answer.json()["code"] == "BROKER_UNAVAILABLE"
    assert client.get(path).json()["state"] == "confirmed"
    again = send(client, "POST", path + "/confirm", {"reason": "again"})
    require_error(again, 409, "VALIDATION_WRONG_STATE")


def test_a_rule_that_can_double_an_order_wants_an_explicit_yes(client, guesses):
    path, body = f"{LIST}/{guesses[0].pk}/confirm", {"proof": "refused", "reason": "documented"}

    document = require_error(send(client, "POST", path, body), 422, "VALIDATION_INVALID_REQUEST")

    assert "can double an order" in document["error"]["message"]
    assert "accepts_doubling" in document["error"]["details"]
    assert not ErrorRule.objects.exists()
    assert send(client, "POST", path, {**body, "accepts_doubling": True}).json()["can_double_an_order"] is True


def test_a_guess_is_rejected(client, guesses):
    path = f"{LIST}/{guesses[0].pk}"

    assert send(client, "POST", path + "/reject", {"reason": "one broken proxy"}).status_code == 204
    assert client.get(path).json()["decided_by"] == "night"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "reason"),
        ({"reason": "x", "code": "NO_SUCH_CODE"}, "not in the catalogue"),
        ({"reason": "x", "code": "\x00"}, "code"),
        ({"reason": "x", "proof": "maybe"}, "proof"),
        ({"reason": "x", "accepts_doubling": "perhaps"}, "accepts_doubling"),
        ([], "non_field_errors"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(client, guesses, body, words):
    answer = send(client, "POST", f"{LIST}/{guesses[0].pk}/confirm", body)

    assert words in str(require_error(answer, 422, "VALIDATION_INVALID_REQUEST")["error"])
    assert not ErrorRule.objects.exists()


@pytest.mark.parametrize("number", [0, 10**30])
def test_a_guess_that_does_not_exist(client, number):
    for answer in (
        client.get(f"{LIST}/{number}"),
        *(send(client, "POST", f"{LIST}/{number}/{act}", {"reason": "x"}) for act in ("confirm", "reject")),
    ):
        require_error(answer, 404, "VALIDATION_NOT_FOUND")


@pytest.mark.parametrize("query", ["state=old", "limit=0", "source=%00", f"after={10**30}"])
def test_a_wrong_filter_is_named(client, query):
    document = require_error(client.get(f"{LIST}?{query}"), 422, "VALIDATION_INVALID_REQUEST")

    assert list(document["error"]["details"]) == [query.partition("=")[0]]
