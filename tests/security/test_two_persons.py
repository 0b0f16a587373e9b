"""Credentials, raised limits, bulk replays: one person proposes, another agrees to exactly that, or nothing happens."""

import io
import json
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from brokers.models import Account, Broker
from brokers.services.credential_changes import propose_credentials
from brokers.services.credentials import read_credentials, set_credentials
from brokers.services.limits import BrokerLimits, change_limits
from reliability.core.errors import ReliabilityError
from reliability.models import AuditEntry, Job, ProposedChange
from reliability.services.changes import confirm_change, expire_changes, reject_change, withdraw_change
from reliability.services.jobs.bulk_replay import ask_for_replay
from tests.factories import TEST_PASSWORD, make_account, make_dead_letter, make_user

pytestmark = pytest.mark.django_db

NEW = {"api_key": "KEY-NEW-4711", "api_secret": "SECRET-NEW-4711"}
RAISED = BrokerLimits(calls_per_minute=400, max_concurrent_calls=100)
SECRETS = (*NEW.values(),)


@pytest.fixture
def people(db: None) -> dict[str, Any]:
    """One person of each role that matters here, and the account that they quarrel about."""
    call_command("prepare_installation")
    found = {}
    for name, role in (("ada", "admin"), ("olga", "operator"), ("anna", "approver"), ("bert", "approver")):
        found[name] = make_user(name=name)
        found[name].groups.add(Group.objects.get(name=role))
    account = make_account()
    set_credentials(account, {"api_key": "OLD", "api_secret": "OLD"})
    Broker.objects.update(calls_per_minute=200)
    return found


def propose_one_of_each() -> dict[str, int]:
    """Propose each kind of change, return the number of each."""
    jobs = [make_dead_letter().pk for _ in range(3)]
    proposed = {
        "credentials": propose_credentials("desk", NEW, by="ada", reason="the old key is a year old"),
        "limits": change_limits("desk-broker", RAISED, by="ada", reason="the broker allows more"),
        "replay": ask_for_replay(jobs, by="olga", reason="the broker is back").change,
    }
    return {name: pk for name, pk in proposed.items() if pk is not None}


def made() -> set[str]:
    """Return which of the changes have happened."""
    broker, account = Broker.objects.get(), Account.objects.get()
    happened = {
        "credentials": read_credentials(account) == NEW,
        "limits": broker.calls_per_minute == RAISED.calls_per_minute,
        "replay": Job.objects.filter(attempts__isnull=False).exclude(state="dead").exists(),
    }
    return {name for name, did in happened.items() if did}


def proposal(pk: int) -> str:
    return ProposedChange.objects.get(pk=pk).proposal


@pytest.mark.parametrize("kind", ["credentials", "limits", "replay"])
def test_a_change_is_made_when_another_person_agrees_to_it(people: Any, kind: str) -> None:
    pk = propose_one_of_each()[kind]
    assert made() == set()

    outcome = confirm_change(pk, by="anna", proposal=proposal(pk))

    assert made() == {kind}
    row = ProposedChange.objects.get(pk=pk)
    assert (row.state, row.decided_by, row.outcome, bytes(row.sealed)) == ("confirmed", "anna", outcome, b"")
    assert confirm_change(pk, by="anna", proposal="") == outcome, "agreeing twice changes nothing"
    actions = list(AuditEntry.objects.filter(action__contains="change").values_list("action", "actor"))
    assert ("change_confirmed", "anna") in actions
    with pytest.raises(ReliabilityError, match="It is confirmed by anna already"):
        confirm_change(pk, by="bert", proposal=row.proposal)


@pytest.mark.parametrize("kind", ["credentials", "limits", "replay"])
@pytest.mark.parametrize(
    ("spoil", "by", "told"),
    [
        ("nothing", "ada", "no active person who may confirm"),
        ("nothing", "olga", "no active person who may confirm"),
        ("nothing", "nobody", "no active person who may confirm"),
        ("approver", "self", "another person confirms it"),
        ("other", "anna", "not what is proposed"),
        ("none", "anna", "not what is proposed"),
        ("late", "anna", "over an hour ago"),
        ("left", "anna", "no active person who may"),
        ("rejected", "anna", "It is rejected by bert already"),
        ("withdrawn", "anna", "It is withdrawn"),
        ("anew", "anna", "It is replaced"),
    ],
)
def test_nothing_happens_without_that(people: Any, kind: str, spoil: str, by: str, told: str) -> None:
    pk = propose_one_of_each()[kind]
    row = ProposedChange.objects.get(pk=pk)
    digest = row.proposal
    if spoil == "approver":
        people[row.proposed_by].groups.add(Group.objects.get(name="approver"))
        by = row.proposed_by
    elif spoil in ("other", "none"):
        digest = "0" * 32 if spoil == "other" else ""
    elif spoil == "late":
        _age(pk)
    elif spoil == "left":
        people[row.proposed_by].groups.clear()
    elif spoil == "rejected":
        reject_change(pk, by="bert", reason="not today")
    elif spoil == "withdrawn":
        withdraw_change(pk, by=row.proposed_by)
    elif spoil == "anew":
        _propose_again(row)

    with pytest.raises(ReliabilityError, match=told):
        confirm_change(pk, by=by, proposal=digest)

    assert made() == set()


def _age(pk: int) -> None:
    """Make a proposal an hour older, which only a test that lifts the guard can."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE reliability_proposedchange DISABLE TRIGGER reliability_proposedchange_fixed")
        cursor.execute(
            "UPDATE reliability_proposedchange SET proposed_at = proposed_at - interval '61 minutes', "
            "expires_at = expires_at - interval '61 minutes' WHERE id = %s",
            [pk],
        )
        cursor.execute("ALTER TABLE reliability_proposedchange ENABLE TRIGGER reliability_proposedchange_fixed")


def _propose_again(row: ProposedChange) -> None:
    if row.kind == "brokers.credentials":
        propose_credentials("desk", {**NEW, "api_key": "ANOTHER"}, by="ada", reason="a typing error")
    elif row.kind == "brokers.limits":
        change_limits("desk-broker", BrokerLimits(9999, 100), by="ada", reason="more still")
    else:
        ask_for_replay(row.content["jobs"], by="olga", reason="another reason")


def test_what_was_proposed_cannot_be_written_again(people: Any) -> None:
    pk = propose_one_of_each()["limits"]
    rows = ProposedChange.objects.filter(pk=pk)

    for values in ({"content": {}}, {"reason": "x"}, {"proposed_by": "bert"}, {"sealed": b"x"}, {"kind": "x"}):
        with pytest.raises(IntegrityError, match="written once"), transaction.atomic():
            rows.update(**values)
    confirm_change(pk, by="anna", proposal=proposal(pk))
    with pytest.raises(IntegrityError, match="written once"), transaction.atomic():
        rows.update(state="proposed")


def test_a_limit_is_lowered_by_one_person_and_a_change_in_between_voids_the_proposal(people: Any) -> None:
    pk = propose_one_of_each()["limits"]

    assert change_limits("desk-broker", BrokerLimits(100, 50), by="ada", reason="it complains") is None

    assert list(Broker.objects.values_list("calls_per_minute", "max_concurrent_calls")) == [(100, 50)]
    with pytest.raises(ReliabilityError, match="changed meanwhile"):
        confirm_change(pk, by="anna", proposal=proposal(pk))
    for raised in (BrokerLimits(None, 50), BrokerLimits(101, 10), BrokerLimits(1, 51)):
        assert change_limits("desk-broker", raised, by="ada", reason="more") is not None
    assert list(Broker.objects.values_list("calls_per_minute", "max_concurrent_calls")) == [(100, 50)]
    for limits in (BrokerLimits(0, 50), BrokerLimits(100, 0), BrokerLimits(100, 50)):
        with pytest.raises(ReliabilityError):
            change_limits("desk-broker", limits, by="ada", reason="x")


def test_what_died_again_after_the_proposal_is_not_replayed_by_it(people: Any) -> None:
    jobs = [make_dead_letter() for _ in range(3)]
    pk = ask_for_replay([job.pk for job in jobs], by="olga", reason="the broker is back").change
    assert pk is not None
    ask_for_replay([jobs[0].pk], by="olga", reason="this one now")
    Job.objects.filter(pk=jobs[1].pk).update(finished_at=timezone.now() + timedelta(seconds=1))

    outcome = confirm_change(pk, by="anna", proposal=proposal(pk))

    assert outcome == "1 of 3 dead letters will run again."
    assert list(Job.objects.filter(state="dead")) == [jobs[1]]


def test_nobody_but_the_two_decide_and_a_forgotten_proposal_forgets_its_secret(people: Any) -> None:
    pk = propose_one_of_each()["credentials"]
    with pytest.raises(ReliabilityError, match="only they take it back"):
        withdraw_change(pk, by="olga")
    with pytest.raises(ReliabilityError, match="no active person who may reject"):
        reject_change(pk, by="olga", reason="no")
    assert bytes(ProposedChange.objects.get(pk=pk).sealed)

    expire_changes()
    assert ProposedChange.objects.get(pk=pk).state == "proposed"
    _age(pk)
    expire_changes()

    row = ProposedChange.objects.get(pk=pk)
    assert (row.state, bytes(row.sealed)) == ("expired", b"")
    assert made() == set()


def client(people: Any, name: str) -> Client:
    found = Client(raise_request_exception=False)
    found.force_login(people[name])
    return found


def test_over_http_and_nothing_shows_the_secret(people: Any) -> None:
    ada, anna, olga = client(people, "ada"), client(people, "anna"), client(people, "olga")
    jobs = [make_dead_letter().pk for _ in range(2)]
    json_type = {"content_type": "application/json"}
    limits = {"calls_per_minute": 400, "max_concurrent_calls": 100, "reason": "more"}
    answers = [
        ada.post("/api/v1/accounts/desk/credentials", {**NEW, "reason": "yearly"}, **json_type),
        ada.post("/api/v1/brokers/desk-broker/limits", limits, **json_type),
        olga.post("/api/v1/dead-letters/replay", {"ids": jobs, "reason": "back"}, **json_type),
    ]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert made() == set()
    assert olga.post("/api/v1/accounts/desk/credentials", {**NEW, "reason": "x"}, **json_type).status_code == 403

    shown = ""
    for answer in answers:
        address = answer.headers["Location"]
        body = {"proposal": answer.json()["proposal"]}
        shown += answer.content.decode() + anna.get(address).content.decode()
        assert ada.post(f"{address}/confirm", body, **json_type).status_code == 403
        assert anna.post(f"{address}/confirm", {"proposal": "0"}, **json_type).status_code == 409
        assert anna.post(f"{address}/confirm", body, **json_type).status_code == 200
    shown += anna.get("/api/v1/changes").content.decode()

    assert made() == {"credentials", "limits", "replay"}
    shown += json.dumps(list(AuditEntry.objects.values("before", "after", "reason")))
    assert not [secret for secret in SECRETS if secret in shown]


def test_in_admin_what_is_entered_is_proposed_and_the_other_person_confirms_it_on_its_page(people: Any) -> None:
    ada, anna = client(people, "ada"), client(people, "anna")
    account, broker = Account.objects.get(), Broker.objects.get()
    page = reverse("admin:brokers_account_change", args=[account.pk])
    form = {"name": "desk", "broker": broker.pk, "enabled": "on", **NEW}
    assert "Give a reason" in ada.post(page, form).content.decode()
    ada.post(page, {**form, "change_reason": "the old key is a year old"})
    page = reverse("admin:brokers_broker_change", args=[broker.pk])
    form = {
        name: getattr(broker, name) for name in ("adapter", "mute_after_ms", "call_timeout_ms", "connect_timeout_ms")
    }
    form |= {"base_url": "https://api.example.com", "new_calls_per_minute": 400, "new_concurrent_calls": 100}
    assert "Give a reason" in ada.post(page, form).content.decode()
    ada.post(page, {**form, "limits_reason": "the broker allows more"})
    assert made() == set()
    assert Broker.objects.get().base_url == "https://api.example.com"

    waiting = {row.kind: row for row in ProposedChange.objects.all()}
    assert set(waiting) == {"brokers.credentials", "brokers.limits"}
    for row in waiting.values():
        seen = anna.get(reverse("change", args=[row.pk])).content.decode()
        assert row.proposal in seen
        seen += anna.get(reverse("admin:reliability_proposedchange_change", args=[row.pk])).content.decode()
        assert not [secret for secret in SECRETS if secret in seen]
        assert row.proposal not in ada.get(reverse("change", args=[row.pk])).content.decode()
        anna.post(reverse("confirm-change", args=[row.pk]), {"proposal": row.proposal})

    assert made() == {"credentials", "limits"}


def run(monkeypatch: pytest.MonkeyPatch, typed: str, *words: str) -> str:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    call_command(*words, stdout=out)
    return out.getvalue()


def test_the_command_line_names_who_proposes_and_knows_them_by_their_password(
    people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [make_dead_letter(kind="a").pk for _ in range(2)]
    right, wrong = f"{TEST_PASSWORD}\n", "guess\n"
    replay = ("deadletters", "replay", "--all", "--kind=a", "--reason=back")
    secrets = f"{NEW['api_key']}\n{NEW['api_secret']}\n"
    commands = [
        ((*replay, "--as=olga"), ""),
        (("limits", "set", "desk-broker", "--calls-per-minute=none", "--as=ada", "--reason=more"), ""),
        (("account_credentials", "desk", "--as=ada", "--reason=yearly"), secrets),
    ]
    with pytest.raises(CommandError, match="takes two persons"):
        run(monkeypatch, "", *replay)
    for words, more in commands:
        with pytest.raises(CommandError, match="not the password"):
            run(monkeypatch, wrong + more, *words)
    assert not ProposedChange.objects.exists()

    told = [run(monkeypatch, right + more, *words) for words, more in commands]

    assert all(text.startswith("Proposed as change") for text in told)
    assert made() == set()
    assert [row.proposed_by for row in ProposedChange.objects.order_by("pk")] == ["olga", "ada", "ada"]
    assert "200 calls a minute" in run(monkeypatch, "", "limits", "list")
    assert Job.objects.filter(state="dead").count() == len(jobs)
