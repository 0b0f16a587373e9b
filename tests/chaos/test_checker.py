"""The checker: a clean episode has no finding, and each invariant has a record that breaks it and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from brokers.simulator.ledger import LedgerOrder, LedgerSummary
from brokers.simulator.orders import Status
from config.chaos.checker import check
from config.chaos.episode import Episode, Outcome, judged
from config.chaos.expectations import unmet
from config.chaos.fault_log import FaultEntry
from config.chaos.measures import measure
from config.chaos.records import BrokerCall, CircuitChange, Records, Sighting, StateChange
from config.chaos.scenario import Load, Scenario

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
SCENARIO = Scenario(1, "test", "test", "nothing", Load(), (), ("I1",))
FAULT = FaultEntry(1, "kill", "worker-orders", "process", {}, lasting=False, on=100.0, on_at=NOON)
ORDER: dict[str, Any] = {
    "id": "o-1",
    "client_order_id": "c-1",
    "broker_order_id": "b-1",
    "account": "sim-a",
    "state": "filled",
    "final": True,
    "filled_quantity": "2",
    "accepted_at": NOON.isoformat(),
    "acknowledged_at": (NOON + timedelta(milliseconds=20)).isoformat(),
}


REFUSED = {**ORDER, "state": "refused", "broker_order_id": "", "filled_quantity": "0"}
CANCELED = {**REFUSED, "state": "canceled"}


def at_broker(number: str = "b-1", client_order_id: str = "c-1") -> LedgerOrder:
    order = LedgerOrder(number, client_order_id, 1, "KO", "buy", Decimal(2), Status.FILLED, None)
    order.filled_quantity = Decimal(2)
    return order


def ledger(*orders: LedgerOrder) -> LedgerSummary:
    summary = LedgerSummary()
    for order in orders:
        summary.orders[order.order_id] = order
        summary.orders_by_client_order_id.setdefault(order.client_order_id, []).append(order)
    return summary


def call(kind: str = "request", operation: str = "submit", seconds: float = 0.0, **changed: Any) -> BrokerCall:
    made = BrokerCall("sim-a", kind, operation, "c-1", "", 100.0 + seconds, NOON + timedelta(seconds=seconds))
    return replace(made, **changed)


def clean(**changed: Any) -> Records:
    """Return the records of one order, one fault that was noticed, and a stack that became well."""
    fields: dict[str, Any] = {
        "accepted": {"k": "o-1"},
        "told": {"k": "o-1"},
        "history": [(99.0, "k", "accepted")],
        "orders": [ORDER],
        "everything": [ORDER],
        "ledgers": {"sim-a": ledger(at_broker())},
        "calls": [call()],
        "faults": [FAULT],
        "seen": [Sighting(1, "process ended", 0.2)],
        "progress_seconds": 0.5,
        "recovered_seconds": 2.0,
        "agreed_seconds": 2.5,
    }
    return Records(**{**fields, **changed})


OPENED = CircuitChange("sim-a:orders", "closed", "open", NOON, False)
HALF_OPEN = CircuitChange("sim-a:orders", "open", "half_open", NOON + timedelta(seconds=30), False)


def test_a_clean_episode_has_no_finding() -> None:
    assert check(SCENARIO, clean()) == []


@pytest.mark.parametrize(
    ("invariant", "changed"),
    [
        ("I1", {"ledgers": {"sim-a": ledger()}}),
        ("I1", {"everything": [], "orders": [], "ledgers": {}}),
        ("I2", {"ledgers": {"sim-a": ledger(at_broker(), at_broker("b-2"))}}),
        ("I2", {"ledgers": {"sim-a": ledger(at_broker()), "sim-b": ledger(at_broker("b-2"))}}),
        ("I2", {"told": {}}),
        ("I3", {"ledgers": {"sim-a": ledger(at_broker(), at_broker("b-2", "c-2"))}}),
        ("I4", {"everything": [{**ORDER, "filled_quantity": "1"}]}),
        ("I4", {"positions": [{"account": "sim-a", "symbol": "KO", "quantity": "3"}]}),
        ("I4", {"fills_ours": {("sim-a", "e-1"): ("2", "10")}, "fills_theirs": {("sim-a", "e-1"): ("2", "11")}}),
        ("I4", {"fills_theirs": {("sim-a", "e-1"): ("2", "11")}}),
        ("I5", {"changes": [StateChange("o-1", "filled", "working")]}),
        ("I5", {"changes": [StateChange("o-1", "partially_filled", "working")]}),
        ("I6", {"sent_in_freeze": ["order o-1 was sent during freeze 1"]}),
        ("I6", {"circuits": [OPENED, HALF_OPEN], "calls": [call(seconds=5)]}),
        ("I7", {"older_writes": ["job 1"]}),
        ("I8", {"unfinished": ["1 jobs orders.submit are still ready"]}),
        ("I8", {"dead_letters": ["dead letter 1"]}),
        ("I8", {"calls": [call() for _ in range(9)]}),
        ("I9", {"seen": []}),
        ("I10", {"progress_seconds": None}),
        ("I10", {"progress_seconds": 31.0}),
        ("I10", {"recovered_seconds": None}),
        ("I11", {"bad_bars": ["KO 12:00"]}),
        ("I12", {"not_healthy": ["beat is stopped"]}),
        ("I12", {"dirt": ["toxic latency of postgres"]}),
    ],
)
def test_each_invariant_is_broken_by_its_own_record_alone(invariant: str, changed: dict[str, Any]) -> None:
    assert {finding.invariant for finding in check(SCENARIO, clean(**changed))} == {invariant}


def absent(order: dict[str, Any], kind: str, source: str = "worker", **changed: Any) -> dict[str, Any]:
    """Return what changes where no broker has an order that ended in this way."""
    ended = StateChange("o-1", "sending", order["state"], kind, source)
    return {"orders": [order], "everything": [order], "ledgers": {"sim-a": ledger()}, "changes": [ended], **changed}


def ticks(*seconds: float, name: str = "a") -> list[tuple[str, float, datetime]]:
    return [(name, 5.0, NOON + timedelta(seconds=one)) for one in seconds]


ANSWERED = call("reply", "", outcome="sent")


@pytest.mark.parametrize(
    "changed",
    [
        absent(REFUSED, "refused", calls=[call(), replace(ANSWERED, status=422)]),
        absent(REFUSED, "refused", calls=[call(), replace(ANSWERED, outcome="drop_reply", status=403)]),
        absent(REFUSED, "refused", calls=[call(), replace(ANSWERED, outcome="auth_expired")]),
        absent(REFUSED, "refused_unavailable", calls=[]),
        absent(REFUSED, "given_up_absent", cancels={"o-1"}),
        absent(CANCELED, "canceled_before_sending", calls=[], cancels={"o-1"}),
        absent(CANCELED, "canceled_before_sending", "kill_switch", calls=[]),
    ],
)
def test_an_order_may_be_at_no_broker_for_a_cause_that_others_know(changed: dict[str, Any]) -> None:
    assert check(SCENARIO, clean(**changed)) == []


@pytest.mark.parametrize(
    "changed",
    [
        absent(REFUSED, "refused", calls=[]),
        absent(REFUSED, "refused", calls=[call(), replace(ANSWERED, status=200)]),
        absent(REFUSED, "refused", calls=[call(), replace(ANSWERED, outcome="error")]),
        absent(REFUSED, "refused", calls=[call(), replace(ANSWERED, client_order_id="c-2", status=422)]),
        absent(REFUSED, "refused", cancels={"o-1"}),
        absent(REFUSED, "refused_unavailable"),
        absent(REFUSED, "given_up_absent"),
        absent(REFUSED, "refused", changes=[]),
        absent(CANCELED, "canceled_before_sending", "api"),
        absent(CANCELED, "canceled_before_sending", "worker", cancels={"o-2"}),
    ],
)
def test_an_order_that_merely_says_that_it_was_refused_or_canceled_is_lost(changed: dict[str, Any]) -> None:
    findings = check(SCENARIO, clean(**changed))
    assert [finding.invariant for finding in findings] == ["I1"]
    assert " lost: " in findings[0].text


@pytest.mark.parametrize(
    "changed",
    [
        {"circuits": [OPENED, HALF_OPEN], "calls": [call(seconds=0.05)]},  # under way when it opened
        {"circuits": [OPENED, HALF_OPEN], "calls": [call(seconds=31)]},  # a probe
        {"circuits": [OPENED, HALF_OPEN], "calls": [call(seconds=5, account="sim-b")]},
        {"circuits": [replace(OPENED, is_local=True)], "calls": [call(seconds=5)]},
        {"circuits": [replace(OPENED, circuit="sim-a:look_ups")], "calls": [call(seconds=5)]},
        {"changes": [StateChange("o-1", "sending", "accepted"), StateChange("o-1", "canceled", "filled")]},
    ],
)
def test_what_is_allowed_is_no_finding(changed: dict[str, Any]) -> None:
    assert check(SCENARIO, clean(**changed)) == []


@pytest.mark.parametrize("changed", [{"recovered_seconds": None}, {"seen": []}, {"not_healthy": ["beat is stopped"]}])
def test_what_one_episode_did_wrong_is_counted_in_the_next_one_again(changed: dict[str, Any]) -> None:
    known: set[str] = set()
    outcomes = [judged(SCENARIO, clean(**changed), known)[0] for _ in range(2)]
    assert outcomes == [Outcome.FAILED, Outcome.FAILED]


@pytest.mark.parametrize(
    "changed",
    [
        {"ledgers": {"sim-a": ledger(at_broker(), at_broker("b-2", "c-2"))}},
        {"positions": [{"account": "sim-a", "symbol": "KO", "quantity": "3"}]},
        {"bad_bars": ["KO 12:00"]},
    ],
)
def test_what_stays_wrong_for_ever_is_counted_in_the_episode_that_did_it(changed: dict[str, Any]) -> None:
    known: set[str] = set()
    outcomes = [judged(SCENARIO, clean(**changed), known)[0] for _ in range(2)]
    assert outcomes == [Outcome.FAILED, Outcome.PASSED]


@pytest.mark.parametrize(
    ("outcome", "is_safe"),
    [(Outcome.PASSED, True), (Outcome.FAILED, True), (Outcome.VOID, False), (Outcome.NOT_RUN, False)],
)
def test_only_an_episode_that_was_judged_can_be_safe(outcome: Outcome, is_safe: bool) -> None:
    assert Episode(SCENARIO, 1, outcome).is_safe is is_safe


def test_times_are_taken_from_the_records() -> None:
    scenario = replace(SCENARIO, measures=("detection", "reaction", "recovery", "reconciliation"))
    records = clean(circuits=[OPENED, HALF_OPEN], calls=[call(seconds=0.04), call(seconds=-1)])
    assert measure(scenario, records).times == {
        "detection": [0.2],
        "reaction": [0.04],
        "recovery": [2.0],
        "reconciliation": [2.5],
    }


def test_what_was_never_noticed_and_never_well_counts_as_never() -> None:
    times = measure(SCENARIO, clean(seen=[], recovered_seconds=None)).times
    assert times["detection"] == [float("inf")]
    assert times["recovery"] == [float("inf")]


def test_a_late_machine_makes_times_invalid_and_nothing_else() -> None:
    assert measure(SCENARIO, clean(late_by_ms=[(100.0, 5.0)])).is_valid
    assert not measure(SCENARIO, clean(late_by_ms=[(100.0, 5.0), (100.1, 21.0)])).is_valid


@pytest.mark.parametrize(
    ("sentence", "met", "broken"),
    [
        ("circuit_opens sim-a", {"circuits": [OPENED]}, {}),
        ("no_circuit_opens", {}, {"circuits": [OPENED]}),
        ("no_alerts", {}, {"alerts": [("circuit.opened", "sim-a:orders", NOON)]}),
        ("orders_at sim-a 1", {}, {"orders": []}),
        ("replies drop_reply 1", {"calls": [call("reply", "", outcome="drop_reply")]}, {}),
        ("one_call_each", {}, {"calls": [call(), call(seconds=1)]}),
        ("ticks_once 3", {"ticks": ticks(0, 5, 9)}, {"ticks": ticks(0, 5)}),
        ("ticks_once 3", {"ticks": [*ticks(0, 5), *ticks(5, 10, name="b")]}, {"ticks": ticks(0, 5, 6)}),
        ("at_most_in_second sim-a 2", {}, {"calls": [call(seconds=share / 10) for share in range(3)]}),
        (
            "waits_kept sim-a 0.9",
            {"calls": [call(), call("reply", "", 0.1, outcome="rate_limit"), call(seconds=1.1)]},
            {"calls": [call(), call("reply", "", 0.1, outcome="rate_limit"), call(seconds=0.5)]},
        ),
        ("same_process web", {}, {"pids_before": {"web": 1}, "pids_after": {"web": 2}}),
        (
            "spared sim-a 1",
            {"faults": [replace(FAULT, lasting=True, off=110.0, off_at=NOON + timedelta(seconds=10))]},
            {"faults": [replace(FAULT, lasting=True, off=110.0, off_at=NOON)]},
        ),
    ],
)
def test_an_expectation_is_met_or_named(sentence: str, met: dict[str, Any], broken: dict[str, Any]) -> None:
    scenario = replace(SCENARIO, expect=(sentence,))
    assert unmet(scenario, clean(**met)) == []
    assert unmet(scenario, clean(**broken)) != []
