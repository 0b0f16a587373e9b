"""Recovery runs over HTTP, on the command line, in admin and on the pages: who may, and what they say."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from brokers.models import Account
from reconciliation.models import Drill, RecoveryRun
from reconciliation.selectors.recovery import read_figures
from reconciliation.services.recovery import request_recovery
from reliability.models import AuditEntry
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send

pytestmark = pytest.mark.django_db

PATH = "/api/v1/recoveries"
VIEW, RUN = "reconciliation.view_recoveryrun", "reconciliation.run_recovery"


@pytest.fixture
def ann(account: Account) -> Client:
    return client_of(make_user(VIEW, RUN, name="ann"))


def test_a_person_asks_for_a_recovery_and_looks_at_its_steps(ann: Client) -> None:
    answer = send(ann, "POST", PATH, {"account": "desk", "reason": "the desk is not sure"})
    assert (answer.status_code, answer.json()["state"], answer.json()["requested_by"]) == (202, "running", "ann")

    body = ann.get(answer["Location"]).json()
    assert [step["action"] for step in body["steps"]][:3] == ["connection", "subscriptions", "snapshot"]
    assert body["steps"][0]["state"] == "running"
    assert body["triggers"][0]["kind"] == "person"
    assert [run["id"] for run in ann.get(PATH, {"account": "desk"}).json()["results"]] == [body["id"]]
    assert AuditEntry.objects.filter(actor="ann", action="request_recovery", reason="the desk is not sure").exists()


def test_what_names_no_account_is_told(ann: Client) -> None:
    for body in ({}, {"account": "desk"}, {"account": "nobody", "reason": "r"}, {"account": "desk", "reason": " "}):
        require_error(send(ann, "POST", PATH, body), 422, "VALIDATION_INVALID_REQUEST")
    require_error(ann.get(f"{PATH}/77"), 404, "VALIDATION_NOT_FOUND")
    require_error(ann.get(PATH, {"account": "nobody"}), 422, "VALIDATION_INVALID_REQUEST")


def ended(account: Account, state: str, seconds: float, trigger: str = "stream_returned") -> RecoveryRun:
    run_id = request_recovery(account.pk, trigger=trigger, by="watch")
    now = timezone.now()
    RecoveryRun.objects.filter(pk=run_id).update(
        state=state, finished_at=now, disrupted_at=now - timedelta(seconds=seconds)
    )
    return RecoveryRun.objects.get(pk=run_id)


def test_the_figures_are_those_of_the_rows(account: Account, ann: Client) -> None:
    for seconds in (2, 4, 6):
        ended(account, "recovered", seconds)
    ended(account, "recovered", 8, "person")
    ended(account, "failed", 100)
    ended(account, "superseded", 1)

    figures = ann.get(PATH).json()["figures"]
    assert (figures["recovered_automatically"], figures["failed"], figures["superseded"]) == (3, 1, 1)
    assert figures["automatic_rate"] == pytest.approx(3 / 5)
    assert (figures["mttr_seconds"], figures["median_seconds"]) == (pytest.approx(5), pytest.approx(5))
    assert read_figures(since=timezone.now()).mttr_seconds is None


def test_what_a_drill_caused_is_no_recovery_to_be_counted(account: Account) -> None:
    ended(account, "recovered", 2)
    before = read_figures()
    drill = Drill.objects.create(account=account, fault="f", incident=1, requested_by="ann", injected_at=timezone.now())
    ended(account, "failed", 100)
    ended(account, "superseded", 1)
    assert read_figures() == before, "the drill runs"

    Drill.objects.filter(pk=drill.pk).update(state="failed", ended_at=timezone.now())
    assert read_figures() == before, "it is over"
    RecoveryRun.objects.filter(state="failed").update(started_at=timezone.now() + timedelta(seconds=1))
    assert read_figures().automatic_rate == pytest.approx(1 / 2), "what began later is real"


def test_the_command_line_lists_shows_and_begins(account: Account) -> None:
    def run(*words: str) -> str:
        out = io.StringIO()
        call_command("recovery", *words, stdout=out)
        return out.getvalue()

    assert "Recovery" in run("run", "desk", "--reason", "drill")
    run_id = RecoveryRun.objects.get().pk
    assert "desk  running  person" in run("list")
    assert json.loads(run("list", "--json"))["results"][0]["id"] == run_id
    assert "connection" in run("show", str(run_id))
    with pytest.raises(CommandError, match="no account"):
        run("run", "nobody", "--reason", "drill")
    with pytest.raises(CommandError, match="no such"):
        run("show", "77")


def test_the_pages_show_progress_and_begin_another_run(client: Client, account: Account) -> None:
    run_id = request_recovery(account.pk, trigger="stream_returned", by="watch")
    client.force_login(make_user(VIEW, RUN, "brokers.view_order", name="bob"))

    assert "desk is being recovered: 0 of 12 steps" in client.get("/").content.decode()
    page = client.get(f"/recoveries/{run_id}").content.decode()
    assert f"Recovery {run_id} of desk" in page
    assert "unknown orders" in page
    assert client.get(f"/recoveries/{run_id}/live").status_code == 200
    assert client.get("/recoveries/77").status_code == 404

    assert client.get("/recoveries/begin").status_code == 405
    client.post("/recoveries/begin", {"account": "desk"})
    assert RecoveryRun.objects.count() == 1, "a reason is needed"
    client.post("/recoveries/begin", {"account": "desk", "reason": "drill"})
    assert RecoveryRun.objects.count() == 2
    RecoveryRun.objects.filter(state="running").update(
        state="failed", findings=["Positions differ from the broker's by: AAPL 3."]
    )
    assert "desk could not be recovered" in client.get("/").content.decode()
    assert "AAPL 3" in client.get("/recoveries").content.decode()

    client.force_login(make_user(VIEW, name="eve"))
    assert client.post("/recoveries/begin", {"account": "desk", "reason": "drill"}).status_code == 403


def test_admin_shows_runs_and_recovers_an_account_again_once(client: Client, account: Account) -> None:
    client.force_login(make_user(VIEW, RUN, name="ann"))
    first, second = ended(account, "failed", 3), ended(account, "failed", 5)
    page = client.get(f"/admin/reconciliation/recoveryrun/{first.pk}/change/").content.decode()
    assert "snapshot" in page

    chosen = {"action": "recover_again", "_selected_action": [first.pk, second.pk], "reason": "drill"}
    client.post("/admin/reconciliation/recoveryrun/", chosen)
    assert RecoveryRun.objects.filter(requested_by="ann").count() == 1
