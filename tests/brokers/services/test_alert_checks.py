"""Streams that are silent and trading that is stopped are told while they last."""

from datetime import timedelta

import pytest
from django.utils import timezone

from brokers.models import StreamSession
from brokers.services.alert_checks import check_halts, check_streams
from brokers.services.kill_switch import confirm_release, engage, request_release
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert
from tests.factories import make_account, make_user

pytestmark = pytest.mark.django_db


def alert(condition: str) -> Alert:
    return Alert.objects.get(condition=condition)


@pytest.mark.parametrize(
    "values", [{"state": "down", "last_error": "refused"}, {"last_alive_at": timezone.now() - timedelta(seconds=4)}]
)
def test_a_silent_stream_is_told_until_it_is_up(values: dict[str, object]) -> None:
    account = make_account()
    check_streams()
    assert not Alert.objects.exists()

    StreamSession.objects.filter(account=account).update(**values)
    check_streams()
    assert (alert("stream.silent").scope, alert("stream.silent").clears_at) == ("account:desk", None)
    StreamSession.objects.filter(account=account).update(state="up", last_alive_at=timezone.now())
    check_streams()
    assert alert("stream.silent").clears_at is not None


def test_a_disabled_account_may_be_silent() -> None:
    StreamSession.objects.filter(account=make_account(enabled=False)).update(state="down")
    check_streams()
    assert not Alert.objects.exists()


def test_a_kill_switch_is_told_until_two_persons_release_it() -> None:
    make_account()
    for name in ("ann", "bob"):
        make_user("brokers.release_kill_switch", "reliability.approve_intervention", name=name)
    switch = engage("account:desk", reason="prices look wrong", actor="ann")
    check_halts()
    assert (alert("trading.halted").scope, alert("trading.halted").severity) == ("account:desk", 1)

    request_release(switch.pk, by="ann", reason="they are right")
    confirm_release(switch.pk, by="bob")
    check_halts()
    assert alert("trading.halted").state == "resolved"


def test_a_stream_without_its_standby_is_told_more_mildly() -> None:
    account = make_account()
    StreamSession.objects.filter(account=account).update(standby="down", last_error="refused")
    check_streams()
    told = alert("stream.silent")
    assert (told.scope, told.severity) == ("account:desk/standby", ErrorSeverity.MEDIUM.rank)

    StreamSession.objects.filter(account=account).update(standby="up")
    check_streams()
    assert alert("stream.silent").clears_at is not None
