"""Runbooks are followed step by step: written first, planned before they act, agreed on by two, taken up again."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from reliability.core.catalog import CATALOG
from reliability.core.conditions import CONDITIONS
from reliability.core.errors import ReliabilityError
from reliability.core.runbooks import RUNBOOKS, StepKind
from reliability.models import Job, RunbookExecution, RunbookStepRun
from reliability.selectors.alerts import list_timeline
from reliability.services import runbook_actions
from reliability.services.runbook_actions import Action, Plan, get_action, list_actions
from reliability.services.runbooks import abort_runbook, carry_out_step, plan_step, resume_runbook, start_runbook
from tests.factories import make_dead_letter, make_user
from tests.reliability.api.test_errors import client_of, require_error, send
from tests.reliability.services.test_incidents import happen
from tests.reliability.views.test_operator_actions import logged_in, told

pytestmark = pytest.mark.django_db

DEAD = "alert:job.dead_letter"


def test_every_code_and_every_condition_has_one_and_its_actions_exist():
    assert set(RUNBOOKS) == {f"alert:{name}" for name in CONDITIONS} | {f"error:{code}" for code in CATALOG}
    known = {action.name for action in list_actions()}
    for runbook in RUNBOOKS.values():
        kinds = [step.kind for step in runbook.steps]
        assert kinds[-1] is StepKind.NOTE
        assert {step.action for step in runbook.steps if step.action} <= known, runbook.name
        assert all(step.text.strip() for step in runbook.steps)
        assert bool(runbook.prefix) == (StepKind.ACTION in kinds)


def follow(execution: RunbookExecution, until: StepKind, actor: str = "ann") -> int:
    """Do what is by hand until a step of a kind is next; returns its number."""
    for number, step in enumerate(execution.steps):
        if number < execution.step:
            continue
        if step["kind"] == until:
            return number
        if step["kind"] == "wait":
            RunbookExecution.objects.update(step_began_at=timezone.now() - timedelta(minutes=5))
        carry_out_step(execution.pk, number, actor=actor, note="seen")
        execution.refresh_from_db()
    raise AssertionError("there is no such step")


def test_dead_letters_are_replayed_one_then_the_others_after_a_second_person_agreed():
    jobs = [make_dead_letter(kind="tests.unheard_of") for _ in range(3)]
    execution = start_runbook(DEAD, "jobs:tests.unheard_of", actor="ann")

    number = follow(execution, StepKind.ACTION)
    assert plan_step(execution.pk, number, actor="ann") == f"Job {jobs[0].pk} runs again with fresh attempts."
    assert Job.objects.filter(state="dead").count() == 3, "a plan changes nothing"
    assert carry_out_step(execution.pk, number, actor="ann") == "1 run again."
    execution.refresh_from_db()
    with pytest.raises(ReliabilityError, match="Wait until"):
        carry_out_step(execution.pk, execution.step, actor="ann")

    number = follow(execution, StepKind.GATE)
    with pytest.raises(ReliabilityError, match="Another person"):
        carry_out_step(execution.pk, number, actor="ann")
    carry_out_step(execution.pk, number, actor="bob")
    plan_step(execution.pk, number + 1, actor="ann")
    assert carry_out_step(execution.pk, number + 1, actor="ann") == "2 run again."
    execution.refresh_from_db()
    assert follow(execution, StepKind.NOTE)
    carry_out_step(execution.pk, len(execution.steps) - 1, actor="ann", note="mended")
    execution.refresh_from_db()
    assert (execution.state, execution.step) == ("finished", len(execution.steps))


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The action of lanes, which does what the test says."""
    seen: dict[str, Any] = {"fails": [], "inputs": []}

    def carry_out(inputs: Any, actor: str, reason: str) -> str:
        seen["inputs"].append(dict(inputs))
        if seen["fails"]:
            raise seen["fails"].pop()
        return "resumed"

    plan = lambda target: Plan({"lane": target, "n": len(seen["inputs"])}, "it would resume")  # noqa: E731
    action = Action("lanes.resume", "one lane", "reliability.pause_lane", plan, carry_out)
    monkeypatch.setitem(runbook_actions._ACTIONS, action.name, action)
    return seen


def at_action() -> tuple[RunbookExecution, int]:
    execution = start_runbook("alert:lane.late", "lane:orders", actor="ann")
    return execution, follow(execution, StepKind.ACTION)


def test_an_action_runs_only_after_its_plan_and_from_that_plan(flaky: dict[str, Any]):
    execution, number = at_action()
    with pytest.raises(ReliabilityError, match="Plan it first"):
        carry_out_step(execution.pk, number, actor="ann")
    plan_step(execution.pk, number, actor="ann")
    plan_step(execution.pk, number, actor="ann")
    carry_out_step(execution.pk, number, actor="ann")

    assert flaky["inputs"] == [{"lane": "orders", "n": 0}]
    runs = list(RunbookStepRun.objects.filter(number=number).values_list("state", "plan"))
    assert runs == [("refused", "it would resume"), ("done", "it would resume")]


def test_a_step_found_running_after_a_crash_is_carried_out_from_its_plan(flaky: dict[str, Any]):
    execution, number = at_action()
    plan_step(execution.pk, number, actor="ann")
    flaky["fails"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        carry_out_step(execution.pk, number, actor="ann")
    assert RunbookStepRun.objects.get(number=number).state == "running"
    with pytest.raises(ReliabilityError, match="begun already"):
        plan_step(execution.pk, number, actor="ann")

    assert carry_out_step(execution.pk, number, actor="bob") == "resumed"
    assert flaky["inputs"] == [{"lane": "orders", "n": 0}] * 2
    with pytest.raises(ReliabilityError, match="not the next"):
        carry_out_step(execution.pk, number, actor="bob")


def test_an_action_that_fails_can_be_planned_and_tried_again(flaky: dict[str, Any]):
    execution, number = at_action()
    plan_step(execution.pk, number, actor="ann")
    flaky["fails"] = [ReliabilityError("VALIDATION_WRONG_STATE", "no")]
    with pytest.raises(ReliabilityError, match="no"):
        carry_out_step(execution.pk, number, actor="ann")
    plan_step(execution.pk, number, actor="ann")
    carry_out_step(execution.pk, number, actor="ann")
    assert list(RunbookStepRun.objects.filter(number=number).values_list("state", flat=True)) == ["failed", "done"]


def test_a_later_version_changes_nothing_about_what_was_begun(monkeypatch: pytest.MonkeyPatch, flaky: dict[str, Any]):
    execution, number = at_action()
    monkeypatch.setattr("reliability.services.runbooks.RUNBOOKS", {})
    plan_step(execution.pk, number, actor="ann")
    assert carry_out_step(execution.pk, number, actor="ann") == "resumed"


def test_aborted_and_taken_up_again_where_it_was():
    incident = happen()
    execution = start_runbook("alert:stream.silent", "account:sim-a", actor="ann", incident_id=incident.pk)
    carry_out_step(execution.pk, 0, actor="ann", note="seen")
    abort_runbook(execution.pk, actor="ann", reason="the broker called")
    with pytest.raises(ReliabilityError, match="not the next"):
        carry_out_step(execution.pk, 1, actor="ann", note="x")
    resume_runbook(execution.pk, actor="bob")
    carry_out_step(execution.pk, 1, actor="bob", note="seen")
    kinds = [entry["kind"] for entry in list_timeline("incident", incident.pk)]
    assert kinds[-2:] == ["runbook_began", "runbook_aborted"]


@pytest.mark.parametrize(
    ("name", "scope"), [("alert:made.up", ""), (DEAD, "account:x"), (DEAD, ""), ("alert:lane.late", "orders")]
)
def test_what_cannot_be_followed_is_refused(name: str, scope: str):
    with pytest.raises(ReliabilityError):
        start_runbook(name, scope, actor="ann")


def test_an_action_that_is_gone_says_so():
    with pytest.raises(ReliabilityError, match="No action"):
        get_action("shell.run")


def test_following_gives_no_right_that_a_person_lacks(flaky: dict[str, Any]):
    may = ("reliability.view_runbookexecution", "reliability.follow_runbook")
    execution, number = at_action()
    path = f"/api/v1/runbook-executions/{execution.pk}"
    lesser, full = client_of(make_user(*may)), client_of(make_user(*may, "reliability.pause_lane"))

    require_error(send(lesser, "POST", path + "/plan", {"step": number}), 403, "AUTH_PERMISSION_DENIED")
    assert send(full, "POST", path + "/plan", {"step": number}).json()["runs"][-1]["plan"] == "it would resume"
    assert send(full, "POST", path + "/carry-out", {"step": number}).json()["step"] == number + 1
    assert send(full, "POST", path + "/abort", {"reason": "enough"}).json()["state"] == "aborted"
    assert send(full, "POST", path + "/resume", {}).json()["state"] == "running"
    assert full.get("/api/v1/runbooks").json()["results"][0]["steps"]
    started = send(full, "POST", "/api/v1/runbook-executions", {"runbook": "error:TIMEOUT_READ"})
    assert (started.status_code, started.json()["state"]) == (201, "running")
    assert full.get("/api/v1/runbook-executions?state=running&limit=1").json()["next_after"] == started.json()["id"]


def test_on_its_pages(flaky: dict[str, Any]):
    client = logged_in("reliability.view_runbookexecution", "reliability.follow_runbook", "reliability.pause_lane")
    assert "alert:lane.late" in client.get("/runbooks").content.decode()
    assert client.get("/runbooks/alert:nothing").status_code == 404
    assert 'value="lane:orders"' in client.get("/runbooks/alert:lane.late?scope=lane:orders").content.decode()
    refused = client.post("/runbooks/alert:lane.late/start", {"scope": "orders"})
    assert "Nothing was changed" in told(refused)
    place = client.post("/runbooks/alert:lane.late/start", {"scope": "lane:orders"}).headers["Location"]
    execution = RunbookExecution.objects.get()
    follow(execution, StepKind.ACTION)

    page = client.get(place).content.decode()
    assert "See what it would do" in page
    assert "Carry it out" not in page
    client.post(place + "/step", {"do": "plan", "step": execution.step})
    assert "Carry it out" in client.get(place + "/live").content.decode()
    client.post(place + "/step", {"do": "carry_out", "step": execution.step})
    execution.refresh_from_db()
    assert "resumed" in client.get(place).content.decode()
