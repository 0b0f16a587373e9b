"""The seed's five times, from the records of one episode. Pure; seconds everywhere."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from config.chaos.checker import open_spans
from config.chaos.noise import LIMIT_MS, worst_ms
from config.chaos.records import Records
from config.chaos.scenario import Scenario

LIMITS = {"detection": 1.0, "reaction": 0.1, "failover": 5.0, "recovery": 30.0, "reconciliation": 60.0}
"""What the seed asks for, in seconds."""


@dataclass(frozen=True)
class Measures:
    """Times of one episode by name, infinite where one never came. Not ``is_valid``: the machine itself was late."""

    times: dict[str, list[float]] = field(default_factory=dict)
    noise_ms: float = 0.0
    is_valid: bool = True


def measure(scenario: Scenario, records: Records) -> Measures:
    """Return what the episode says about each time that its scenario is about."""
    takers = {
        "detection": _detections,
        "reaction": _reactions,
        "failover": _failovers,
        "recovery": _recoveries,
        "reconciliation": _reconciliations,
    }
    times = {name: list(takers[name](records)) for name in scenario.measures}
    noise = worst_ms(records.late_by_ms)
    return Measures({name: values for name, values in times.items() if values}, noise, noise <= LIMIT_MS)


def _detections(records: Records) -> Iterator[float]:
    """Per fault that must be noticed: from its first effect to the first record of ours that shows it."""
    seconds = {sighting.fault: sighting.seconds for sighting in records.seen}
    for fault in records.faults:
        if fault.detect:
            yield seconds.get(fault.number, inf)


def _reactions(records: Records) -> Iterator[float]:
    """Per opening of a circuit of orders: from it to the last submit that the broker still saw, before any probe."""
    for circuit, opened, until in open_spans(records):
        account = circuit.partition(":")[0]
        passed = [
            (call.at - opened).total_seconds()
            for call in records.calls
            if call.account == account
            and (call.kind, call.operation) == ("request", "submit")
            and call.at > opened
            and (until is None or call.at < until)
        ]
        yield max(passed, default=0.0)


def _failovers(records: Records) -> Iterator[float]:
    """Per outage of a broker: from it to the first order of a route that the other one accepted."""
    for fault in records.faults:
        if fault.detect and fault.target.startswith("sim-"):
            accepted = (
                call.monotonic - fault.on
                for call in records.calls
                if call.kind == "accepted" and call.account != fault.target and call.monotonic > fault.on
            )
            yield next(accepted, inf)


def _recoveries(records: Records) -> Iterator[float]:
    if records.faults:
        yield inf if records.recovered_seconds is None else records.recovered_seconds


def _reconciliations(records: Records) -> Iterator[float]:
    if records.faults:
        yield inf if records.agreed_seconds is None else records.agreed_seconds
