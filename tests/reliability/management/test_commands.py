"""The command line: what it says, what it does, and how it fails."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from knox.auth import TokenAuthentication

from reliability.models import AuditEntry, Job, Lane
from tests.factories import make_dead_letter, make_user

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_dead_letters_are_listed_newest_first_and_filtered():
    first, second = make_dead_letter(kind="a"), make_dead_letter(kind="b", error_code="TIMEOUT_READ")

    assert [line.split()[0] for line in run("deadletters", "list").splitlines()] == [str(second.pk), str(first.pk)]
    assert [json.loads(line)["id"] for line in run("deadletters", "list", "--kind=a", "--json").splitlines()] == [
        first.pk
    ]
    assert run("deadletters", "list", "--error-code=TIMEOUT_READ").startswith(str(second.pk))
    assert len(run("deadletters", "list", "--limit=1").splitlines()) == 1


def test_one_is_shown_with_its_attempts():
    job = make_dead_letter()

    shown = json.loads(run("deadletters", "show", str(job.pk)))

    assert (shown["id"], shown["attempts"][0]["outcome"]) == (job.pk, "dead")


def test_those_that_match_are_replayed_after_a_look():
    jobs = [make_dead_letter(kind="a") for _ in range(2)]
    other = make_dead_letter(kind="b")

    assert run("deadletters", "replay", "--all", "--kind=a", "--dry-run").startswith("Would replay 2:")
    assert Job.objects.filter(state="dead").count() == 3
    for job in jobs:
        assert run("deadletters", "replay", str(job.pk), "--reason=back") == "1 dead letter will run again.\n"
    assert list(Job.objects.filter(state="dead")) == [other]
    assert all(job.attempts.last().actor.startswith("cli:") for job in jobs)


def test_named_ones_are_discarded_with_a_reason():
    job = make_dead_letter()

    assert run("deadletters", "discard", str(job.pk), "--reason=placed by telephone") == "1 of 1 discarded.\n"
    assert Job.objects.get().state == "discarded"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["deadletters", "show", "1"], "There is no dead letter 1."),
        (["deadletters", "replay", "1", "--reason=r"], "None of these is a dead letter any more."),
        (["deadletters", "replay", "1"], "give a reason: --reason TEXT"),
        (["deadletters", "replay", "--reason=r"], "name ids, or use --all with --kind or --error-code"),
        (["deadletters", "replay", "--all", "--reason=r"], "--all and a filter (--kind, --error-code) go together"),
        (["deadletters", "replay", "--all", "--kind=x", "--reason=r"], "no dead letter matches"),
        (["deadletters", "discard", "1", "--reason= "], "Discarding needs a reason."),
        (["lanes", "pause", "nowhere", "--reason=r"], "There is no lane called 'nowhere'."),
        (["lanes", "resume", "orders", "--reason=r"], "The lane 'orders' is running already."),
        (["create_token", "nobody"], "there is no user called 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_one_line(words, line):
    with pytest.raises(CommandError, match="^" + line.replace("(", r"\(").replace(")", r"\)") + "$") as raised:
        run(*words)

    assert raised.value.returncode == 1


def test_a_lane_is_paused_and_resumed():
    assert run("lanes", "pause", "orders", "--reason=maintenance") == "orders is paused.\n"
    assert "(maintenance)" in run("lanes", "list")
    assert run("lanes", "resume", "orders", "--reason=done") == "orders is running.\n"
    assert Lane.objects.get(name="orders").paused_at is None


def test_a_token_is_shown_once_and_works():
    user = make_user(name="desk")

    token = run("create_token", "desk", "--days=1").strip()

    assert TokenAuthentication().authenticate_credentials(token.encode())[0] == user
    assert token not in str(list(AuditEntry.objects.values()))
