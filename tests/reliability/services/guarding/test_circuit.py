"""The guard and its circuit: what it lets begin, and what it tells."""

from contextlib import suppress

import pytest

from reliability.core.catalog import CATALOG
from reliability.core.classification import Operation
from reliability.services.circuits import CircuitOpenError
from reliability.services.guarding.errors import CallRefusedError
from reliability.services.guarding.outcomes import CallOutcome, CallResult
from reliability.services.guarding.policy import CircuitEffect, GuardPolicy, circuit_effect
from tests.reliability.services.guarding.support import RETRIES, RaisedError, Script, make_guard, run


def test_a_success_is_told_to_the_circuit(way: str) -> None:
    workshop = make_guard(GuardPolicy("broker"))

    assert run(workshop, Script(), way) == 1
    assert workshop.circuit.reports == ["succeed"]


def test_an_open_circuit_lets_nothing_begin(way: str, outcomes: list[CallOutcome]) -> None:
    workshop, script = make_guard(GuardPolicy("broker", retry=RETRIES)), Script()
    workshop.circuit.remaining_seconds = 12.0

    with pytest.raises(CircuitOpenError):
        run(workshop, script, way)

    assert script.calls == 0
    assert workshop.guard.wait_seconds() == 12.0
    assert [(record.result, record.code, record.attempts) for record in outcomes] == [
        (CallResult.REFUSED, "SYSTEM_CIRCUIT_OPEN", 0)
    ]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("NETWORK_CONNECTION_LOST", "fail"),
        ("TIMEOUT_READ", "fail"),
        ("BROKER_SERVER_ERROR", "fail"),
        ("BROKER_UNAVAILABLE", "fail"),
        ("DATA_MALFORMED_REPLY", "fail"),
        ("BROKER_INSUFFICIENT_FUNDS", "succeed"),
        ("BROKER_MARKET_CLOSED", "succeed"),
        ("BROKER_DUPLICATE_CLIENT_ORDER_ID", "succeed"),
        ("VALIDATION_INVALID_ORDER", "succeed"),
        ("AUTH_INVALID_CREDENTIALS", "release"),
        ("RATE_LIMIT_EXCEEDED", "release"),
        ("SYSTEM_UNEXPECTED", "release"),
    ],
)
def test_a_failure_tells_the_circuit_what_it_means(code: str, told: str, way: str) -> None:
    workshop = make_guard(GuardPolicy("broker"))

    with pytest.raises(RaisedError):
        run(workshop, Script(RaisedError(code)), way)

    assert workshop.circuit.reports == [told]


@pytest.mark.parametrize("code", CATALOG)
def test_only_a_broken_dependency_counts_against_its_circuit(code: str) -> None:
    effect = circuit_effect(RaisedError(code).classified("http", Operation.SUBMIT))

    if effect is CircuitEffect.FAILURE:
        assert code.split("_")[0] in {"NETWORK", "TIMEOUT", "BROKER", "DATA"} or code.endswith("_UNCLASSIFIED")


def test_an_exception_nobody_knows_counts_and_a_mistake_of_ours_does_not(way: str) -> None:
    class PaymentsDownError(Exception):
        pass

    workshop = make_guard(GuardPolicy("payments"))
    for error in (PaymentsDownError("?"), TypeError("a mistake")):
        with suppress(PaymentsDownError, TypeError):
            run(workshop, Script(error), way)

    assert workshop.circuit.reports == ["fail", "release"]


def test_what_ends_the_program_says_nothing_about_the_dependency(way: str, outcomes: list[CallOutcome]) -> None:
    workshop = make_guard(GuardPolicy("broker", retry=RETRIES))

    with pytest.raises(KeyboardInterrupt):
        run(workshop, Script(KeyboardInterrupt()), way)

    assert workshop.circuit.reports == ["release"]
    assert [record.result for record in outcomes] == [CallResult.CANCELED]


def test_a_refusal_of_an_inner_guard_says_nothing_about_the_outer_dependency(way: str) -> None:
    workshop, script = make_guard(GuardPolicy("outer", retry=RETRIES)), Script(CallRefusedError("X", "inner", 1.0))

    with pytest.raises(CallRefusedError):
        run(workshop, script, way)

    assert workshop.circuit.reports == ["release"]
    assert script.calls == 1
