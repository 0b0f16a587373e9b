"""A runbook is what the catalogue says, in steps that can be followed: look, act, wait, look again, write it down."""

from dataclasses import replace

import pytest

from reliability.core.catalog import CATALOG
from reliability.core.conditions import CONDITIONS
from reliability.core.runbooks import (
    RUNBOOKS,
    Runbook,
    RunbookStep,
    StepKind,
    condition_runbook,
    doing_about,
    error_runbook,
)
from reliability.core.taxonomy import ErrorCategory

CHECK = RunbookStep(StepKind.CHECK, "Look.")
ACT = RunbookStep(StepKind.ACTION, "Do it.", "circuits.reset")
NOTE = RunbookStep(StepKind.NOTE, "Write it down.")
BOOK = Runbook("alert:circuit.opened", "Opened", (CHECK, ACT, NOTE), "circuit:")


def outline(book: Runbook) -> list[str]:
    return [f"{step.kind} {step.action}".strip() for step in book.steps]


def test_what_a_second_person_agrees_to_is_the_last_action_alone() -> None:
    book = condition_runbook(CONDITIONS["job.dead_letter"])
    looks = len(CONDITIONS["job.dead_letter"].steps)

    assert outline(book) == [
        *["check"] * looks,
        "action jobs.replay_oldest", "wait", "check",
        "gate", "action jobs.replay_all", "wait", "check",
        "note",
    ]  # fmt: skip
    assert [step.text for step in book.steps[:looks]] == list(CONDITIONS["job.dead_letter"].steps)
    assert {step.wait_seconds for step in book.steps if step.kind is StepKind.WAIT} == {30}
    gate = next(step for step in book.steps if step.kind is StepKind.GATE)
    assert gate.text == "A second person agrees: Replay the others, if the first one succeeded."
    assert (book.name, book.title, book.prefix) == (
        "alert:job.dead_letter",
        CONDITIONS["job.dead_letter"].summary,
        "jobs:",
    )
    assert CONDITIONS["job.dead_letter"].resolves in book.steps[-1].text


def test_an_action_without_an_effect_to_wait_for_is_followed_by_the_end() -> None:
    assert outline(condition_runbook(CONDITIONS["lane.late"]))[-2:] == ["action lanes.resume", "note"]


def test_a_condition_without_an_action_is_looked_at_and_written_down() -> None:
    condition = next(one for one in CONDITIONS.values() if condition_runbook(one).prefix == "")

    assert set(outline(condition_runbook(condition))) == {"check", "note"}


def test_what_may_have_been_carried_out_is_asked_for_before_all_else() -> None:
    unsure, sure = (error_runbook(CATALOG[code]).steps for code in ("TIMEOUT_READ", "BROKER_INSUFFICIENT_FUNDS"))

    assert unsure[0] == RunbookStep(
        StepKind.CHECK,
        "It may have been carried out although it failed: ask the other side before anything is sent again.",
    )
    assert unsure[1].text == CATALOG["TIMEOUT_READ"].suggestion
    assert sure[0].text == CATALOG["BROKER_INSUFFICIENT_FUNDS"].suggestion


def test_what_is_done_by_hand_is_one_step_for_each_sentence() -> None:
    definition = replace(
        CATALOG["BROKER_INSUFFICIENT_FUNDS"],
        suggestion="Fund it.",
        manual_steps="look at the account; ask the desk about FIX. write to them. ; ",
        escalation="The desk, at once.",
    )
    book = error_runbook(definition)

    assert [step.text for step in book.steps] == [
        "Fund it.",
        "Look at the account.",
        "Ask the desk about FIX.",
        "Write to them.",
        "Write down how it ended. To be told: The desk, at once..",
    ]
    assert (book.name, book.title, book.prefix) == (f"error:{definition.code}", definition.message, "")


def test_nothing_suggested_and_nothing_by_hand_leave_the_note() -> None:
    definition = replace(CATALOG["BROKER_INSUFFICIENT_FUNDS"], suggestion="", manual_steps="")

    assert outline(error_runbook(definition)) == ["note"]


@pytest.mark.parametrize("category", list(ErrorCategory))
def test_the_order_is_looked_up_where_an_unknown_code_may_have_left_one(category: ErrorCategory) -> None:
    definition = replace(CATALOG["TIMEOUT_READ"], code="SOMETHING_NEW", category=category, ambiguous=True)
    about_orders = category in (ErrorCategory.NETWORK, ErrorCategory.TIMEOUT, ErrorCategory.BROKER, ErrorCategory.DATA)

    doing = doing_about(definition)
    assert (doing.prefix, [action for action, _ in doing.actions]) == (
        ("order:", ["orders.look_again"]) if about_orders else ("", [])
    )
    assert doing_about(replace(definition, ambiguous=False)).actions == ()


def test_a_lost_job_may_have_left_an_order_behind() -> None:
    lost = CATALOG["SYSTEM_WORKER_LOST"]

    assert doing_about(replace(lost, ambiguous=True)).prefix == "order:"
    assert doing_about(replace(lost, ambiguous=False)).prefix == ""


def test_what_a_table_names_for_a_code_comes_before_what_follows_from_its_kind() -> None:
    named = replace(CATALOG["NETWORK_CONNECT_REFUSED"], ambiguous=True)

    assert doing_about(named).prefix == "circuit:"


def test_the_actions_run_on_what_they_are_for_and_nothing_else() -> None:
    assert BOOK.steps_for("circuit:sim-a/submit") == BOOK.steps
    assert BOOK.steps_for("jobs:x") is None
    assert BOOK.steps_for("") is None, "an alert is always about something"


def test_the_runbook_of_an_error_is_followed_without_its_actions_for_nothing_in_particular() -> None:
    book = replace(BOOK, name="error:SYSTEM_CIRCUIT_OPEN")

    assert book.steps_for("") == (CHECK, NOTE)
    assert book.steps_for("jobs:x") is None
    assert book.steps_for("circuit:x") == book.steps


def test_a_runbook_without_actions_can_be_followed_for_anything() -> None:
    book = replace(BOOK, steps=(CHECK, NOTE), prefix="")

    assert [book.steps_for(scope) for scope in ("", "jobs:x")] == [book.steps, book.steps]


def test_the_version_changes_with_the_title_and_every_step() -> None:
    versions = {
        book.version
        for book in (
            BOOK,
            replace(BOOK, title="Closed"),
            replace(BOOK, steps=(CHECK, NOTE)),
            replace(BOOK, steps=(NOTE, ACT, CHECK)),
            replace(BOOK, steps=(CHECK, replace(ACT, wait_seconds=1), NOTE)),
            replace(BOOK, steps=(CHECK, replace(ACT, action="circuits.pin"), NOTE)),
        )
    }

    assert len(versions) == 6
    assert all(len(version) == 12 and set(version) <= set("0123456789abcdef") for version in versions)
    assert replace(BOOK, name="error:X", prefix="").version == BOOK.version, "a name is not what somebody follows"


def test_a_step_is_kept_with_all_that_it_is() -> None:
    assert replace(ACT, wait_seconds=3).to_dict() == {
        "kind": "action", "text": "Do it.", "action": "circuits.reset", "wait_seconds": 3,
    }  # fmt: skip


def test_every_runbook_is_found_by_its_name() -> None:
    assert all(name == book.name for name, book in RUNBOOKS.items())
    assert RUNBOOKS["alert:job.dead_letter"] == condition_runbook(CONDITIONS["job.dead_letter"])
    assert RUNBOOKS["error:TIMEOUT_READ"] == error_runbook(CATALOG["TIMEOUT_READ"])
