"""Stops of trading that only people end, as questions: may trading go on? By two persons where money is in doubt.

The same stops can be released on the operator screen, in admin, by the API and on the command line; a question about
one that is over is withdrawn.
"""

from datetime import timedelta

from brokers.core.freezes import FreezeCause, ReleaseRule, release_rule
from brokers.models import Freeze, KillSwitch
from brokers.services.freezes import (
    RELEASE_PERMISSION,
    confirm_freeze_release,
    release_freeze,
    request_freeze_release,
)
from brokers.services.kill_switch import RELEASE_PERMISSION as SWITCH_PERMISSION
from brokers.services.kill_switch import confirm_release, request_release
from reliability.core.errors import ReliabilityError
from reliability.core.interventions import Choice
from reliability.selectors.interventions import list_open_subjects
from reliability.services.interventions import (
    Decision,
    InterventionKind,
    Question,
    open_interventions,
    withdraw_interventions,
)

SWITCH_KIND, FREEZE_KIND, DOUBT_KIND = "trading.halted", "trading.frozen", "trading.in_doubt"
STOP_KINDS = (SWITCH_KIND, FREEZE_KIND, DOUBT_KIND)
MOST_ASKED = 500
# Whoever stopped trading meant it; a freeze came by itself, and orders wait for it.
_SWITCH_DUE, _FREEZE_DUE = timedelta(hours=4), timedelta(minutes=30)
_SWITCH, _FREEZE = "kill_switch", "freeze"


def stop_kinds(switch_page: str, freeze_page: str) -> tuple[InterventionKind, ...]:
    """Return the kinds of question; the addresses have ``{}`` for the number of a switch or freeze."""
    effect = "New orders are accepted and sent from then on. What was canceled does not come back."
    waiting = "Orders that wait for it are sent."
    return (
        InterventionKind(
            SWITCH_KIND,
            (Choice("release", "Let trading go on", effect),),
            _release_switch,
            SWITCH_PERMISSION,
            _SWITCH_DUE,
            lambda subject: switch_page.format(number_of(subject)),
        ),
        InterventionKind(
            FREEZE_KIND,
            (Choice("release", "Let trading go on", waiting, needs_second=False),),
            _release_freeze,
            RELEASE_PERMISSION,
            _FREEZE_DUE,
            lambda subject: freeze_page.format(number_of(subject)),
        ),
        InterventionKind(
            DOUBT_KIND,
            (Choice("release", "The money is accounted for: let trading go on", waiting),),
            _release_doubt,
            RELEASE_PERMISSION,
            _FREEZE_DUE,
            lambda subject: freeze_page.format(number_of(subject)),
        ),
    )


def check_stops() -> None:
    """Ask about every stop that only people end, and take back what was released elsewhere."""
    switches = KillSwitch.objects.filter(released_at=None).select_related("account").order_by("id")[:MOST_ASKED]
    _follow(SWITCH_KIND, [_about_switch(one) for one in switches])
    for kind, rule in ((FREEZE_KIND, ReleaseRule.ONE_PERSON), (DOUBT_KIND, ReleaseRule.TWO_PERSONS)):
        causes = [cause.value for cause in FreezeCause if release_rule(cause) is rule]
        freezes = Freeze.objects.filter(released_at=None, cause__in=causes).select_related("account", "broker")
        _follow(kind, [_about_freeze(one) for one in freezes.order_by("id")[:MOST_ASKED]])


def number_of(subject: str) -> int:
    """Return the number of a subject such as ``freeze:7``; raises ``ReliabilityError`` for any other."""
    number = subject.partition(":")[2]
    if not number.isdecimal():
        raise ReliabilityError("VALIDATION_NOT_FOUND", "That is no stop of trading.")
    return int(number)


def _follow(kind: str, questions: list[Question]) -> None:
    open_interventions(kind, questions)
    subjects = {one.subject for one in questions}
    over = [one for one in list_open_subjects(kind) if one not in subjects]
    if over and len(questions) < MOST_ASKED:
        withdraw_interventions(kind, over, reason="it was released")


def _about_switch(switch: KillSwitch) -> Question:
    evidence = {
        "what is stopped": str(switch.scope),
        "stopped by": switch.engaged_by,
        "why": switch.reason,
        "since": switch.engaged_at.isoformat(),
    }
    title = f"Trading is stopped, {switch.scope}: may it go on?"
    return Question(f"{_SWITCH}:{switch.pk}", title, evidence, _details(switch))


def _about_freeze(freeze: Freeze) -> Question:
    evidence = {
        "what is frozen": str(freeze.scope),
        "orders": "only those that reduce a position are sent" if freeze.mode == "reduce_only" else "none is sent",
        "cause": freeze.cause.replace("_", " "),
        "frozen by": freeze.frozen_by,
        "why": freeze.reason,
        "since": freeze.frozen_at.isoformat(),
    }
    title = f"Trading is frozen, {freeze.scope}: may it go on?"
    return Question(f"{_FREEZE}:{freeze.pk}", title, evidence, _details(freeze))


def _details(stop: KillSwitch | Freeze) -> dict[str, str]:
    return {"account": stop.account.name} if stop.account is not None else {}


def _release_switch(decision: Decision) -> str:
    number = number_of(decision.subject)
    request_release(number, by=decision.actor, reason=decision.reason)
    switch = confirm_release(number, by=decision.second)
    return f"New orders are accepted again: {switch.scope}."


def _release_freeze(decision: Decision) -> str:
    freeze = release_freeze(number_of(decision.subject), by=decision.actor, reason=decision.reason)
    return f"Orders are sent again: {freeze.scope}."


def _release_doubt(decision: Decision) -> str:
    number = number_of(decision.subject)
    request_freeze_release(number, by=decision.actor, reason=decision.reason)
    freeze = confirm_freeze_release(number, by=decision.second)
    return f"Orders are sent again: {freeze.scope}."
