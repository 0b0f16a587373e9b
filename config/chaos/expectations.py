"""What a scenario expects beyond the invariants: the sentences in ``expect`` of its file, each a name and values.

``circuit_opens sim-a``, ``no_circuit_opens``, ``no_alerts``, ``orders_at sim-b 5``, ``waits_kept sim-a 0.9``,
``same_process worker-general``, ``replies drop_reply 5``, ``spared sim-b 5``, ``one_call_each``,
``at_most_in_second sim-a 400``, ``ticks_once 2``, ``bars_held 12``, ``let_in sim-a good 5``, ``kept_out sim-a``,
``errors_of sim-a NETWORK_TLS_FAILED 2``.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise

from config.chaos.checker import Finding
from config.chaos.fault_log import FaultEntry
from config.chaos.records import BrokerCall, Records
from config.chaos.scenario import Scenario, ScenarioError

_KNOWN_EVERYWHERE = 2.0  # seconds until every process has read an address that was changed
Expectation = Callable[[Records, list[str]], Iterator[Finding]]


def unmet(scenario: Scenario, records: Records) -> list[Finding]:
    """Return a finding for each expectation that was not met.

    Raises:
        ScenarioError: There is no such expectation.
    """
    found: list[Finding] = []
    for sentence in scenario.expect:
        name, *values = sentence.split()
        if name not in EXPECTATIONS:
            raise ScenarioError(f"{scenario.name}: no expectation {name!r}; there are: {', '.join(EXPECTATIONS)}")
        found += EXPECTATIONS[name](records, values)
    return found


def _circuit_opens(records: Records, values: list[str]) -> Iterator[Finding]:
    if not any(one.to_state == "open" and one.circuit.startswith(values[0]) for one in records.circuits):
        yield Finding("I6", f"no circuit of {values[0]} opened", is_timing=True)


def _no_circuit_opens(records: Records, values: list[str]) -> Iterator[Finding]:
    of = values[0] if values else ""
    for change in records.circuits:
        if change.to_state == "open" and change.circuit.startswith(of):
            yield Finding("I6", f"circuit {change.circuit} opened without need", is_timing=True)


def _no_alerts(records: Records, values: list[str]) -> Iterator[Finding]:
    for condition, scope, _ in records.alerts:
        if not condition.startswith(tuple(values) or ("never",)):
            yield Finding("I12", f"alert {condition} of {scope} was raised without a cause", is_timing=True)


def _orders_at(records: Records, values: list[str]) -> Iterator[Finding]:
    account, least = values[0], int(values[1])
    count = sum(order["account"] == account for order in records.orders)
    if count < least:
        yield Finding("I6", f"{count} orders went to {account}, at least {least} were to", is_timing=True)


def _waits_kept(records: Records, values: list[str]) -> Iterator[Finding]:
    """After a 429 the same order must not come again before the time that the broker named."""
    account, least = values[0], float(values[1])
    limited: dict[str, float] = {}
    for call in records.calls:
        if call.account != account:
            continue
        if call.kind == "reply" and call.outcome == "rate_limit":
            limited[call.client_order_id] = call.monotonic
        elif (call.kind, call.operation) == ("request", "submit"):
            since = limited.pop(call.client_order_id, None)
            if since is not None and call.monotonic - since < least:
                yield Finding(
                    "I6", f"order {call.client_order_id} came again {call.monotonic - since:.2f} s after a 429"
                )


def _same_process(records: Records, values: list[str]) -> Iterator[Finding]:
    for name in values:
        if records.pids_before.get(name) != records.pids_after.get(name):
            yield Finding("I8", f"{name} did not live through it")


def _replies(records: Records, values: list[str]) -> Iterator[Finding]:
    """The fault must have struck so often; a run in which it did not shows nothing."""
    outcome, least = values[0], int(values[1])
    count = sum(call.kind == "reply" and call.outcome == outcome for call in records.calls)
    if count < least:
        yield Finding("I9", f"{outcome} struck {count} times, at least {least} were to show anything", is_timing=True)


def _bars_held(records: Records, values: list[str]) -> Iterator[Finding]:
    """Bad bars must have come and been kept aside; a run without them shows nothing."""
    if records.held_bars < int(values[0]):
        yield Finding("I11", f"{records.held_bars} bars were kept aside, at least {values[0]} were to")


def _spared(records: Records, values: list[str]) -> Iterator[Finding]:
    """Orders of the other account are acknowledged while the first one is broken."""
    account, least = values[0], int(values[1])
    spans = [(fault.on_at, fault.off_at) for fault in records.faults if fault.off_at is not None and fault.lasting]
    count = sum(
        1
        for order in records.orders
        if order["account"] == account
        and order["acknowledged_at"]
        and any(on is not None and on <= datetime.fromisoformat(order["acknowledged_at"]) <= off for on, off in spans)
    )
    if count < least:
        yield Finding(
            "I6",
            f"{count} orders of {account} were acknowledged during the fault, at least {least} were to",
            is_timing=True,
        )


def _let_in(records: Records, values: list[str]) -> Iterator[Finding]:
    """Orders must reach the broker under a certificate that is as it should be, or their staying away shows nothing."""
    account, shows, least = values[0], values[1], int(values[2])
    count = sum(
        len(_submits(records, account, fault)) for fault in records.faults if fault.options.get("shows") == shows
    )
    if count < least:
        yield Finding("I9", f"{count} submits came to {account} under a {shows} certificate, at least {least} were to")


def _kept_out(records: Records, values: list[str]) -> Iterator[Finding]:
    """Nothing may be sent where a broker cannot prove who it is, or cannot be found."""
    account = values[0]
    for fault in records.faults:
        if fault.target == account and fault.kind in ("certificate", "name_not_found"):
            count = 0 if fault.options.get("shows") == "good" else len(_submits(records, account, fault))
            if count:
                yield Finding("I6", f"{count} submits came to {account} in spite of {fault.options.get('shows')}")


def _submits(records: Records, account: str, fault: FaultEntry) -> list[BrokerCall]:
    """Return the orders that a broker was sent while a fault of its address was in force everywhere."""
    over = fault.off if fault.off is not None else fault.on
    return [
        call
        for call in records.calls
        if call.account == account
        and (call.kind, call.operation) == ("request", "submit")
        and fault.on + _KNOWN_EVERYWHERE < call.monotonic < over
    ]


def _errors_of(records: Records, values: list[str]) -> Iterator[Finding]:
    account, code, least = values[0], values[1], int(values[2])
    count = records.errors.get((account, code), 0)
    if count < least:
        yield Finding(
            "I9", f"{account} had {count} errors {code}, at least {least} were to be recorded", is_timing=True
        )


def _one_call_each(records: Records, values: list[str]) -> Iterator[Finding]:
    posts = Counter(
        call.client_order_id for call in records.calls if (call.kind, call.operation) == ("request", "submit")
    )
    for client_order_id, count in posts.items():
        if count > 1:
            yield Finding("I8", f"order {client_order_id} was sent {count} times without need", is_timing=True)


def _at_most_in_second(records: Records, values: list[str]) -> Iterator[Finding]:
    """No window of a second holds more submits at the broker."""
    account, most = values[0], int(values[1])
    times = [
        call.monotonic
        for call in records.calls
        if call.account == account and (call.kind, call.operation) == ("request", "submit")
    ]
    first = 0
    for number, at in enumerate(times):
        while at - times[first] > 1.0:
            first += 1
        if number - first + 1 > most:
            yield Finding("I8", f"{number - first + 1} submits reached {account} within a second")
            return


def _ticks_once(records: Records, values: list[str]) -> Iterator[Finding]:
    """No schedule makes two jobs within half its interval; so few ticks at all show nothing."""
    if len(records.ticks) < int(values[0]):
        text = f"the schedule made {len(records.ticks)} jobs, at least {values[0]} were to show anything"
        yield Finding("I8", text, is_timing=True)
    for (name, every, at), (following, _, again) in pairwise(records.ticks):
        apart = (again - at).total_seconds()
        if name == following and apart < every / 2:
            yield Finding("I8", f"{name} was scheduled again after {apart:.2f} s, not {every:g}", is_timing=True)


EXPECTATIONS: dict[str, Expectation] = {
    "circuit_opens": _circuit_opens,
    "no_circuit_opens": _no_circuit_opens,
    "no_alerts": _no_alerts,
    "orders_at": _orders_at,
    "waits_kept": _waits_kept,
    "same_process": _same_process,
    "replies": _replies,
    "bars_held": _bars_held,
    "spared": _spared,
    "let_in": _let_in,
    "kept_out": _kept_out,
    "errors_of": _errors_of,
    "one_call_each": _one_call_each,
    "at_most_in_second": _at_most_in_second,
    "ticks_once": _ticks_once,
}
