"""What of accounts is looked at rather than reported: streams, kill switches and freezes, as alerts while they last."""

from datetime import timedelta

from django.utils import timezone

from brokers.core.streams import StandbyState
from brokers.models import Freeze, KillSwitch, StreamSession
from reliability.core.taxonomy import ErrorSeverity
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, follow_condition


def check_streams() -> None:
    """A stream is silent while it is not up, or while it says it is and has given no sign of life for seconds.

    One that is heard and has lost the connection that stands by is told of as well, more mildly.
    """
    sessions = StreamSession.objects.filter(account__enabled=True).select_related("account")
    oldest = timezone.now() - timedelta(seconds=read_thresholds("stream.silent")["silent_seconds"])
    heard = {one.pk for one in sessions if one.state == "up" and one.last_alive_at and one.last_alive_at >= oldest}
    silent = [_silence(one) for one in sessions if one.pk not in heard]
    silent += [_no_standby(one) for one in sessions if one.pk in heard and one.standby == StandbyState.DOWN]
    follow_condition("stream.silent", silent, reason="the stream is up", prefix="account:")


def check_halts() -> None:
    """Trading that a kill switch or a freeze stops is told for as long as it is stopped."""
    switches = KillSwitch.objects.filter(released_at=None).select_related("account")
    halted = [
        Raising("trading.halted", str(one.scope), f"{one.engaged_by} stopped trading: {one.reason}") for one in switches
    ]
    follow_condition("trading.halted", halted, reason="it was released")
    freezes = Freeze.objects.filter(released_at=None).select_related("account", "broker")
    frozen = {str(one.scope): _freeze(one) for one in freezes}
    follow_condition("trading.frozen", list(frozen.values()), reason="the freeze was lifted")


def _silence(session: StreamSession) -> Raising:
    name = session.account.name
    why = f": {session.last_error}" if session.last_error else "."
    how = "gives no sign of life" if session.state == "up" else f"is {session.state}"
    return Raising("stream.silent", f"account:{name}", f"The order stream of {name} {how}{why}"[:500])


def _no_standby(session: StreamSession) -> Raising:
    name = session.account.name
    message = f"The order stream of {name} is up at its {session.endpoint} address, and nothing stands by to take over."
    details = {"last_error": session.last_error}
    return Raising("stream.silent", f"account:{name}/standby", message, ErrorSeverity.MEDIUM, details)


def _freeze(freeze: Freeze) -> Raising:
    severity = ErrorSeverity.CRITICAL if freeze.mode == "halt" else None
    message = f"Trading is frozen ({freeze.mode.replace('_', ' ')}): {freeze.reason}"
    details = {"freeze": freeze.pk, "cause": freeze.cause}
    return Raising("trading.frozen", str(freeze.scope), message, severity, details)
