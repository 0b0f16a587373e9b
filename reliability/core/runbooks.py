"""Procedures made of the catalogues: one per error code and one per alert condition, with typed steps.

What a person reads is written where the condition or the code is; which named action a step may run is one table here.
An execution keeps a copy of its steps, so that a later version changes nothing about what was begun.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from reliability.core.catalog import CATALOG
from reliability.core.conditions import CONDITIONS, Condition
from reliability.core.taxonomy import ErrorCategory, ErrorDefinition


class StepKind(StrEnum):
    """Check: somebody looks and says what they saw. Action: a named action runs. Gate: a second person agrees.
    Wait: a time passes. Note: somebody writes down how it ended."""

    CHECK = "check"
    ACTION = "action"
    GATE = "gate"
    WAIT = "wait"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class RunbookStep:
    """One step. ``action`` names a registered action, run on what the runbook is started for."""

    kind: StepKind
    text: str
    action: str = ""
    wait_seconds: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Runbook:
    """A procedure. ``prefix`` is of the scopes its actions can be run on; empty: it has none."""

    name: str
    title: str
    steps: tuple[RunbookStep, ...]
    prefix: str = ""

    def steps_for(self, scope: str) -> tuple[RunbookStep, ...] | None:
        """Return the steps to follow for a scope, or None where its actions cannot be run on that.

        The runbook of an error can be followed for nothing in particular: its actions are left out then.
        """
        if not self.prefix or scope.startswith(self.prefix):
            return self.steps
        if scope or not self.name.startswith("error:"):
            return None
        return tuple(step for step in self.steps if step.kind in (StepKind.CHECK, StepKind.NOTE))

    @property
    def version(self) -> str:
        """Return what changes with any of its steps: 12 hex digits."""
        text = json.dumps([self.title, [step.to_dict() for step in self.steps]])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _Doing:
    """What can be done about a condition: actions in order; ``gated`` where a second person must agree first."""

    prefix: str
    actions: tuple[tuple[str, str], ...]
    gated: bool = False
    wait_seconds: int = 0


_DOING: dict[str, _Doing] = {
    "circuit.opened": _Doing("circuit:", (("circuits.reset", "Close the circuit, if its cause is mended."),), True, 30),
    "job.dead_letter": _Doing(
        "jobs:",
        (
            ("jobs.replay_oldest", "Replay the oldest dead letter of this kind."),
            ("jobs.replay_all", "Replay the others, if the first one succeeded."),
        ),
        True,
        30,
    ),
    "lane.late": _Doing("lane:", (("lanes.resume", "Resume the lane, if it is paused."),)),
    "stream.silent": _Doing("account:", (("accounts.synchronize", "Fetch what was missed over REST."),), False, 10),
    "order.unknown_aged": _Doing("order:", (("orders.look_again", "Ask the broker for it by its client order id."),)),
    "order.fill_after_final": _Doing("order:", (("orders.look_again", "Ask the broker for the order again."),)),
    "order.overfill": _Doing("order:", (("orders.halt_account", "Stop trading on its account."),), True),
    "order.external": _Doing("account:", (("accounts.synchronize", "Fetch the account's orders again."),)),
    "reconciliation.discrepancy": _Doing("account:", (("accounts.reconcile", "Reconcile the account in full."),)),
    "trading.frozen": _Doing("account:", (("accounts.reconcile", "Reconcile the account in full."),)),
    "recovery.failed": _Doing("account:", (("accounts.reconcile", "Reconcile the account in full."),)),
}


_LOOK_AGAIN = _Doing("order:", (("orders.look_again", "Ask the broker for the order by its client order id."),))
_SYNCHRONIZE = _Doing("account:", (("accounts.synchronize", "Fetch what was missed over REST."),), False, 10)
_RECONCILE = _Doing("account:", (("accounts.reconcile", "Reconcile the account in full."),))
_OF_ERRORS: dict[_Doing, tuple[str, ...]] = {
    _SYNCHRONIZE: (
        "NETWORK_STREAM_SILENT", "NETWORK_STREAM_CLOSED", "BROKER_STREAM_REFUSED", "TIMEOUT_LOGIN",
        "AUTH_SESSION_CONFLICT", "AUTH_SESSION_EXPIRED", "SYSTEM_SLOW_CONSUMER", "SYSTEM_SESSION_CLOSED",
        "RATE_LIMIT_CONNECTIONS",
    ),
    _RECONCILE: (
        "BROKER_INSUFFICIENT_POSITION", "BROKER_POSITION_NOT_FOUND", "BROKER_MARGIN_CALL", "BROKER_OFFSET_UNDECIDED",
        "DATA_INTEGRITY_IN_DOUBT", "DATA_HISTORY_BROKEN", "VALIDATION_TRADING_FROZEN", "SYSTEM_RECOVERY_VOID",
    ),
    _LOOK_AGAIN: (
        "BROKER_ORDER_NOT_FOUND", "BROKER_ORDER_NOT_CANCELABLE", "DATA_ORDER_TERMS_DIFFER", "BROKER_LEG_NOT_FILLED",
        "BROKER_EXIT_REFUSED",
    ),
    _DOING["circuit.opened"]: (
        "SYSTEM_CIRCUIT_OPEN", "NETWORK_CONNECT_REFUSED", "NETWORK_DNS_FAILED", "NETWORK_UNREACHABLE",
        "NETWORK_PROXY_FAILED", "TIMEOUT_CONNECT", "BROKER_MAINTENANCE", "BROKER_OVERLOADED",
    ),
    _DOING["job.dead_letter"]: (
        "SYSTEM_DEADLINE_PASSED", "SYSTEM_CRASH_LOOP", "SYSTEM_UNKNOWN_TASK", "SYSTEM_TASK_FAILED",
        "SYSTEM_DELIVERY_FAILED",
    ),
    _DOING["lane.late"]: ("SYSTEM_QUEUE_UNAVAILABLE", "SYSTEM_REDIS_UNAVAILABLE", "SYSTEM_WORKER_STOPPING"),
}  # fmt: skip
_BY_CODE = {code: doing for doing, codes in _OF_ERRORS.items() for code in codes}
_ORDERS = frozenset({ErrorCategory.NETWORK, ErrorCategory.TIMEOUT, ErrorCategory.BROKER, ErrorCategory.DATA})
_JOBS = frozenset({"SYSTEM_WORKER_LOST", "SYSTEM_LEASE_EXPIRED", "SYSTEM_JOB_TIMEOUT", "SYSTEM_ADAPTER_FAILURE"})


def doing_about(definition: ErrorDefinition) -> _Doing:
    """Return what can be done about a code by a named action; one that may have left an order behind looks it up."""
    if definition.code in _BY_CODE:
        return _BY_CODE[definition.code]
    about_order = definition.category in _ORDERS or definition.code in _JOBS
    return _LOOK_AGAIN if definition.ambiguous and about_order else _Doing("", ())


def condition_runbook(condition: Condition) -> Runbook:
    """Return the procedure of an alert condition: what to look at, what can be done, how it ended."""
    doing = _DOING.get(condition.name, _Doing("", ()))
    checks = [RunbookStep(StepKind.CHECK, text) for text in condition.steps]
    steps = [*checks, *_action_steps(doing)]
    steps.append(RunbookStep(StepKind.NOTE, f"Write down how it ended. It is over when {condition.resolves}."))
    return Runbook(f"alert:{condition.name}", condition.summary, tuple(steps), doing.prefix)


def error_runbook(definition: ErrorDefinition) -> Runbook:
    """Return the procedure of an error code: what to look at and do by hand, its actions, who is told, how it ended."""
    doing = doing_about(definition)
    texts = [definition.suggestion, *_sentences(definition.manual_steps)]
    if definition.ambiguous:
        texts.insert(
            0, "It may have been carried out although it failed: ask the other side before anything is sent again."
        )
    steps = [RunbookStep(StepKind.CHECK, text) for text in texts if text]
    steps += _action_steps(doing)
    steps.append(RunbookStep(StepKind.NOTE, f"Write down how it ended. To be told: {definition.escalation}."))
    return Runbook(f"error:{definition.code}", definition.message, tuple(steps), doing.prefix)


def _action_steps(doing: _Doing) -> list[RunbookStep]:
    steps: list[RunbookStep] = []
    for number, (action, text) in enumerate(doing.actions):
        if doing.gated and number == len(doing.actions) - 1:
            steps.append(RunbookStep(StepKind.GATE, f"A second person agrees: {text}"))
        steps.append(RunbookStep(StepKind.ACTION, text, action=action))
        if doing.wait_seconds:
            text = "See whether it had the effect that was wanted."
            steps.append(
                RunbookStep(StepKind.WAIT, "Give it time to have its effect.", wait_seconds=doing.wait_seconds)
            )
            steps.append(RunbookStep(StepKind.CHECK, text))
    return steps


def _sentences(text: str) -> list[str]:
    """Return a text's parts that somebody can do one after the other: sentences, and halves at semicolons."""
    parts = [part.strip() for half in text.split(";") for part in half.split(". ")]
    return [f"{part[0].upper()}{part[1:].rstrip('.')}." for part in parts if part]


RUNBOOKS: dict[str, Runbook] = {
    runbook.name: runbook
    for runbook in (
        *(condition_runbook(condition) for condition in CONDITIONS.values()),
        *(error_runbook(definition) for definition in CATALOG.values()),
    )
}
