"""The numbers that were asked for: how fast, how often, and how much may be lost."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a number is judged."""

    LONGEST = "longest"
    """No case may take longer than the limit, in seconds."""
    AT_LEAST = "at_least"
    """At least this share of cases goes well."""
    AT_MOST = "at_most"
    """At most this share of cases goes wrong."""
    NONE = "none"
    """No case may go wrong at all."""
    EACH = "each"
    """Every one of a list is tried, so there is nothing to conclude from a sample."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One number. ``source`` names the section of the feature's description, or the requirement's id."""

    key: str
    text: str
    source: str
    kind: Kind
    limit: float
    case: str
    command: str


ASKED = (
    Asked(
        "detection",
        "detection < 1 s",
        "Performance Requirements, C1",
        Kind.LONGEST,
        1.0,
        "a fault, from its first effect to a record that shows it",
        'make chaos ARGS="campaign --seeds 60"',
    ),
    Asked(
        "reaction",
        "circuit breaker reaction < 100 ms",
        "Performance Requirements, B2",
        Kind.LONGEST,
        0.1,
        "an opening, from the failure that opens it until no process calls any more",
        "make probe-breakers",
    ),
    Asked(
        "failover",
        "failover < 5 s",
        "Performance Requirements, C2",
        Kind.LONGEST,
        5.0,
        "an outage, until a new order, a call or a stream goes to the other side; an order in doubt never moves",
        "make bench-failover",
    ),
    Asked(
        "recovery",
        "full recovery, RTO < 30 s",
        "Acceptance Criteria, Performance Requirements, V2",
        Kind.LONGEST,
        30.0,
        "a fault, from its end until everything is in order without a hand",
        "make bench-recovery",
    ),
    Asked(
        "reconciliation",
        "data reconciliation < 1 min",
        "Performance Requirements, P1",
        Kind.LONGEST,
        60.0,
        "a run that compares everything, or the time until record and ledger agree after a fault",
        "make bench-reconcile",
    ),
    Asked(
        "noticed",
        "error detection rate 99.9 %",
        "Reliability Targets, E3",
        Kind.AT_LEAST,
        0.999,
        "an injected fault that must be noticed",
        "python manage.py simulate --episodes 3000",
    ),
    Asked(
        "false_alarms",
        "false positive rate < 0.1 %",
        "Reliability Targets, E3",
        Kind.AT_MOST,
        0.001,
        "a healthy episode that only looks bad, or ten healthy seconds of one broker",
        "python manage.py simulate --episodes 3000",
    ),
    Asked(
        "automatic",
        "automatic recovery rate 95 %",
        "Reliability Targets, V2",
        Kind.AT_LEAST,
        0.95,
        "a fault whose right answer is not a person",
        'make chaos ARGS="campaign --seeds 60"',
    ),
    Asked(
        "lost",
        "zero data loss",
        "Reliability Targets, O1",
        Kind.NONE,
        0.0,
        "an acknowledged order, looked for in the brokers' own ledgers",
        "make bench-loss",
    ),
    Asked(
        "doubled",
        "no order is submitted twice",
        "Order Handling, O2",
        Kind.NONE,
        0.0,
        "an acknowledged order, counted in the brokers' own ledgers",
        "make bench-loss",
    ),
    Asked(
        "load",
        "load under failure: 50 orders/s for 10 minutes",
        "Testing Plan, T2",
        Kind.NONE,
        0.0,
        "an acknowledged order, while something breaks every 20 s",
        'make chaos ARGS="run load-under-failure"',
    ),
    Asked(
        "sabotage",
        "every chaos scenario can fail",
        "Testing Plan, T2",
        Kind.EACH,
        0.0,
        "a scenario with its protection taken away; it goes wrong when it stays green",
        'make chaos ARGS="run all --sabotage"',
    ),
)
BY_KEY = {one.key: one for one in ASKED}
