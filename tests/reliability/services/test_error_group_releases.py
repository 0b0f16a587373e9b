"""Whose a kind of error is, in which release it is mended, and how often it may come while it is snoozed."""

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from config.environment import DEFAULT_RELEASE
from reliability.conf import ReliabilityConf, get_conf
from reliability.core.error_groups import within_window
from reliability.core.errors import ReliabilityError
from reliability.models import Alert, AuditEntry, ErrorEvent, ErrorGroup, Release
from reliability.selectors.alerts import list_timeline
from reliability.services import error_recorder
from reliability.services.error_group_decisions import assign_group, reopen_group, resolve_group, snooze_group
from reliability.services.error_groups import roll_up_errors
from reliability.services.error_recorder import ErrorRecorder
from reliability.services.pulse import Pulse
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send
from tests.reliability.services.test_error_groups import facts
from tests.reliability.views.test_operator_actions import logged_in

pytestmark = pytest.mark.django_db

WHO = {"actor": "ann", "reason": "as the desk says"}
MAY = ("reliability.view_errorgroup", "reliability.decide_errorgroup")


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that meets errors as a process of a release does."""
    Release.objects.all().delete()

    def meet(release: str, number: int = 1) -> None:
        monkeypatch.setattr(error_recorder, "get_conf", lambda: ReliabilityConf(release=release))
        if release:
            Release.objects.get_or_create(name=release)
        note(number)
        roll_up_errors()

    return meet


def note(number: int = 1, **values: Any) -> None:
    recorder = ErrorRecorder()
    for _ in range(number):
        recorder.note(facts(**values))
    recorder.write()


def only_group() -> ErrorGroup:
    return ErrorGroup.objects.get()


def regressions() -> tuple[str, int]:
    group = only_group()
    return group.state, group.regressions


def test_stragglers_of_older_releases_are_counted_and_are_no_regression(releases: Any) -> None:
    releases("1.0")
    Release.objects.create(name="1.1")
    resolve_group(only_group().pk, release="1.1", **WHO)
    releases("1.0", 3)
    assert (*regressions(), only_group().count) == ("resolved", 0, 4)

    releases("1.1")
    assert regressions() == ("open", 1)
    assert Alert.objects.filter(condition="error.regression", resolved_at=None).count() == 1
    assert only_group().resolved_in == "1.1", "what was said stays until somebody decides again"


def test_a_later_release_regresses_too_and_one_that_did_not_start_yet_may_be_named(releases: Any) -> None:
    releases("1.0")
    resolve_group(only_group().pk, release="2.0", **WHO)
    releases("1.0")
    releases("1.1")
    assert regressions() == ("resolved", 0)
    Release.objects.create(name="2.0")
    releases("1.1")
    assert regressions() == ("resolved", 0)
    releases("2.1")
    assert regressions() == ("open", 1)


def test_the_next_release_is_whichever_starts_after_the_decision(releases: Any) -> None:
    releases("1.0")
    resolve_group(only_group().pk, release="next", **WHO)
    releases("1.0")
    assert regressions() == ("resolved", 0)
    Release.objects.create(name="hotfix-7", started_at=timezone.now() + timedelta(seconds=1))
    releases("hotfix-7")
    assert regressions() == ("open", 1)


def test_old_and_new_in_one_round_are_told_apart(releases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    releases("1.0")
    Release.objects.create(name="1.1")
    resolve_group(only_group().pk, release="1.1", **WHO)
    for name in ("1.1", "1.0"):
        monkeypatch.setattr(error_recorder, "get_conf", lambda name=name: ReliabilityConf(release=name))
        note()
    roll_up_errors()
    assert (*regressions(), only_group().count) == ("open", 1, 3)


def test_an_error_of_no_release_is_judged_by_its_time(releases: Any) -> None:
    releases("")
    resolve_group(only_group().pk, release="1.1", **WHO)
    releases("")
    assert regressions() == ("open", 1)
    assert ErrorEvent.objects.latest("id").details.get("release") is None


def test_a_snooze_ends_once_so_many_come_within_its_window(releases: Any) -> None:
    releases("1.0")
    snooze_group(only_group().pk, times=5, window_seconds=60, **WHO)
    releases("1.0", 4)
    assert only_group().state == "snoozed"
    group = only_group()
    group.snoozed_recent = [[at - 61, number] for at, number in group.snoozed_recent]
    group.save()
    releases("1.0", 4)
    assert only_group().state == "snoozed", "the first four are too long ago"
    releases("1.0", 1)
    assert only_group().state == "open"
    assert [one["kind"] for one in list_timeline("error_group", only_group().pk)][-1] == "snooze_ended"
    reopen_group_fails()


def reopen_group_fails() -> None:
    with pytest.raises(ReliabilityError):
        reopen_group(only_group().pk, **WHO)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(1, 50)), max_size=60), st.floats(1, 1e5))
def test_a_window_loses_nothing_that_is_within_it(met: list[tuple[float, int]], seconds: float) -> None:
    kept, number = within_window(met, seconds)
    last = max((at for at, _ in met), default=0.0)
    assert number == sum(count for at, count in met if at > last - seconds)
    assert len(kept) <= 122
    again, same = within_window(kept, seconds)
    assert (len(again) <= len(kept), same) == (True, number)


def test_a_group_is_somebodys_and_that_is_on_record(releases: Any) -> None:
    releases("1.0")
    make_user(name="bob")
    pk = only_group().pk
    assign_group(pk, owner="bob", **WHO)
    assert only_group().owner.get_username() == "bob"
    entry = AuditEntry.objects.get(action="assign_error_group")
    assert (entry.before, entry.after, entry.actor) == ({"owner": ""}, {"owner": "bob"}, "ann")
    with pytest.raises(ReliabilityError, match="no user called"):
        assign_group(pk, owner="nobody", **WHO)
    assign_group(pk, owner="", **WHO)
    assert only_group().owner is None


@pytest.mark.parametrize(
    "values",
    [
        {"times": 5},
        {"window_seconds": 60},
        {"times": 0, "window_seconds": 60},
        {"times": 5, "window_seconds": 8 * 86_400},
    ],
)
def test_a_window_is_given_whole_and_within_bounds(releases: Any, values: dict[str, int]) -> None:
    releases("1.0")
    with pytest.raises(ReliabilityError):
        snooze_group(only_group().pk, **values, **WHO)


def test_all_of_it_over_http(releases: Any) -> None:
    releases("1.0")
    client = client_of(make_user(*MAY, name="ann"))
    address = f"/api/v1/errors/groups/{only_group().pk}"
    assert send(client, "POST", address + "/assign", {"owner": "ann"}).json()["owner"] == "ann"
    assert [one["owner"] for one in client.get("/api/v1/errors/groups?owner=ann").json()["results"]] == ["ann"]
    body = {"reason": "x", "times": 3, "window_seconds": 60}
    assert send(client, "POST", address + "/snooze", body).json()["snoozed_times"] == 3
    shown = send(client, "POST", address + "/resolve", {"reason": "x", "release": "next"}).json()
    assert (shown["resolved_in"], shown["snoozed_times"], shown["state"]) == ("next", None, "resolved")
    assert shown["runbook_name"] == "error:NETWORK_CONNECT_REFUSED"
    require_error(send(client, "POST", address + "/assign", {"owner": "none"}), 422, "VALIDATION_INVALID_REQUEST")
    bad = {"reason": "x", "release": "a b"}
    send(client, "POST", address + "/reopen", {"reason": "x"})
    require_error(send(client, "POST", address + "/resolve", bad), 422, "VALIDATION_INVALID_REQUEST")


def test_all_of_it_in_admin(releases: Any) -> None:
    releases("1.0")
    pk = only_group().pk
    Release.objects.create(name="1.1")
    client = logged_in(*MAY, "reliability.view_release", name="ann")
    page = client.get(f"/admin/reliability/errorgroup/{pk}/change/").content.decode()
    assert "/runbooks/error:NETWORK_CONNECT_REFUSED" in page
    assert "1.1" in page, "a release that came since is marked"

    def act(action: str, **values: str) -> None:
        body = {"action": action, "_selected_action": [str(pk)], "reason": "x", **values}
        client.post("/admin/reliability/errorgroup/", body)

    act("assign", owner="ann")
    act("snooze", times="5", minutes="2")
    assert (only_group().owner.get_username(), only_group().snoozed_window_seconds) == ("ann", 120)
    act("resolve", release="1.1")
    assert (only_group().state, only_group().resolved_in) == ("resolved", "1.1")
    assert "1.1" in client.get("/admin/reliability/release/").content.decode()


def test_the_page_of_service_levels_marks_releases(releases: Any) -> None:
    Release.objects.create(name="2026.11", started_at=timezone.now() - timedelta(days=3))
    page = logged_in("reliability.view_servicelevel").get("/service-levels").content.decode()
    assert "release 2026.11" in page


@pytest.mark.django_db(transaction=True)
def test_the_first_process_of_a_release_marks_its_start() -> None:
    Release.objects.all().delete()
    for _ in range(2):
        Pulse("worker", "one").stop()
    assert [one.name for one in Release.objects.all()] == [get_conf().release]


def test_the_release_is_that_of_the_package() -> None:
    package = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert package["project"]["version"] == DEFAULT_RELEASE
