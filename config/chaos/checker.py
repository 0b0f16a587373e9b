"""The judge: which invariants an episode broke. Pure; docs/explanation/chaos.md says what each one means."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from brokers.core.orders import FINAL_STATES, OWN_TRANSITIONS, STATE_RANK, OrderState
from config.chaos.records import Records, StateChange
from config.chaos.scenario import Scenario
from config.stack.judgement import Verdict, judge

PROGRESS_SECONDS = 30.0
STOPPED_BY = "kill_switch"
"""The source of what a kill switch does to an order."""
OPENING_GRACE = timedelta(seconds=1)
"""A submit that reaches a broker this long after its circuit opened was let through, not merely under way."""
MOST_POSTS_PER_ORDER = 6
_REFUSED_HERE = frozenset({"refused_unavailable", "replace_lost"})
_PROVEN_ABSENT = "given_up_absent"


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise. ``is_timing``: it hangs on times, and says little where the machine itself was late."""

    invariant: str
    text: str
    is_timing: bool = False

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


def check(scenario: Scenario, records: Records) -> list[Finding]:
    """Return everything that is wrong, in the order of the invariants."""
    parts = (
        _orders_against_ledgers(records),
        _never_at_a_broker(records),
        _fills(records),
        _lifecycles(records),
        _closed_doors(records),
        _fences(records),
        _work(scenario, records),
        _noticed(records),
        _progress(records),
        _bars(records),
        _agreement(records),
    )
    return sorted((finding for part in parts for finding in part), key=lambda one: int(one.invariant[1:]))


def _orders_against_ledgers(records: Records) -> Iterator[Finding]:
    """I1 to I4: by order, stray orders, positions."""
    invariants = {Verdict.LOST: "I1", Verdict.UNKNOWN: "I1", Verdict.DOUBLED: "I2", Verdict.DIFFERS: "I4"}
    judgement = judge(records.accepted.values(), records.everything, records.ledgers, records.positions)
    for verdict in judgement.verdicts:
        if verdict.verdict is not Verdict.AGREES:
            name = invariants[verdict.verdict]
            yield Finding(name, f"order {verdict.order_id} ({verdict.state}) {verdict.verdict}: {verdict.reason}")
    told = set(records.told.values())
    for order in records.everything:
        if order["id"] not in told:
            yield Finding("I2", f"nobody was told of order {order['id']}: an intent was taken twice")
        if not order["final"]:
            yield Finding("I1", f"order {order['id']} is still {order['state']}")
    for stray in judgement.strays:
        yield Finding("I3", f"a broker has order {stray}, which is not on record")
    for line in judgement.positions:
        yield Finding("I4", line)


def _never_at_a_broker(records: Records) -> Iterator[Finding]:
    """I1: an order that no broker has ended for a reason that others know of, not because we say so."""
    at_brokers = {name for ledger in records.ledgers.values() for name in ledger.orders_by_client_order_id}
    ends = {change.order: change for change in records.changes if change.from_state != change.to_state}
    for order in records.orders:
        state = order["state"]
        if state not in ("refused", "canceled") or order["client_order_id"] in at_brokers:
            continue
        if not _has_cause(records, order, ends.get(order["id"], StateChange(order["id"], "", state))):
            text = "no broker has it, none refused it, and nobody asked for its end"
            yield Finding("I1", f"order {order['id']} ({state}) lost: {text}")


def _has_cause(records: Records, order: Mapping[str, Any], end: StateChange) -> bool:
    """Tell whether a broker refused it, the client or a kill switch canceled it, or it was refused before any call."""
    calls = [call for call in records.calls if call.client_order_id == order["client_order_id"]]
    was_sent = any((call.kind, call.operation) == ("request", "submit") for call in calls)
    if order["id"] in records.cancels and (end.to_state == "canceled" or end.kind == _PROVEN_ABSENT):
        return True
    if end.to_state == "canceled":
        return end.source == STOPPED_BY
    return any(call.is_refusal for call in calls) or (end.kind in _REFUSED_HERE and not was_sent)


def _fills(records: Records) -> Iterator[Finding]:
    for key in sorted(records.fills_theirs.keys() | records.fills_ours.keys()):
        ours, theirs = records.fills_ours.get(key), records.fills_theirs.get(key)
        if ours != theirs:
            yield Finding("I4", f"fill {key[1]} of {key[0]}: {ours} here, {theirs} there")


def _lifecycles(records: Records) -> Iterator[Finding]:
    for change in records.changes:
        if not change.from_state or change.from_state == change.to_state:
            continue
        before, after = OrderState(change.from_state), OrderState(change.to_state)
        if (before, after) in OWN_TRANSITIONS:
            continue
        if (before in FINAL_STATES and after not in FINAL_STATES) or STATE_RANK[after] < STATE_RANK[before]:
            yield Finding("I5", f"order {change.order} went from {before} to {after}")


def _closed_doors(records: Records) -> Iterator[Finding]:
    """I6: no order goes out during a freeze, and none but probes through an open circuit."""
    for text in records.sent_in_freeze:
        yield Finding("I6", text)
    for circuit, opened, until in open_spans(records):
        account = circuit.partition(":")[0]
        passed = [
            call
            for call in records.calls
            if call.account == account
            and (call.kind, call.operation) == ("request", "submit")
            and opened + OPENING_GRACE < call.at
            and (until is None or call.at < until)
        ]
        if passed:
            late = (max(call.at for call in passed) - opened).total_seconds()
            text = f"{len(passed)} orders went through {circuit} up to {late:.1f} s after it opened"
            yield Finding("I6", text, is_timing=True)


def open_spans(records: Records) -> list[tuple[str, datetime, datetime | None]]:
    """Return when each circuit of orders was open in every process: (circuit, from, until); None: to the end."""
    spans: list[tuple[str, datetime, datetime | None]] = []
    for number, change in enumerate(records.circuits):
        if change.is_local or change.to_state != "open" or not change.circuit.endswith(":orders"):
            continue
        later = (one for one in records.circuits[number + 1 :] if one.circuit == change.circuit and not one.is_local)
        following = next(later, None)
        spans.append((change.circuit, change.at, following.at if following else None))
    return spans


def _fences(records: Records) -> Iterator[Finding]:
    for text in records.older_writes:
        yield Finding("I7", text)


def _work(scenario: Scenario, records: Records) -> Iterator[Finding]:
    for text in (*records.unfinished, *records.dead_letters):
        yield Finding("I8", text)
    mine = {order["client_order_id"] for order in records.orders}
    posts = Counter(
        call.client_order_id
        for call in records.calls
        if (call.kind, call.operation) == ("request", "submit") and call.client_order_id in mine
    )
    for client_order_id, count in posts.items():
        if count > MOST_POSTS_PER_ORDER:
            yield Finding("I8", f"order {client_order_id} was sent {count} times")
    if mine and sum(posts.values()) > scenario.calls_per_order * len(mine):
        yield Finding("I8", f"{sum(posts.values())} submits for {len(mine)} orders")


def _noticed(records: Records) -> Iterator[Finding]:
    seen = {sighting.fault for sighting in records.seen}
    for fault in records.faults:
        if fault.detect and fault.number not in seen:
            text = f"fault {fault.number} ({fault.kind} {fault.target}) left no record of ours"
            yield Finding("I9", text, is_timing=fault.lasting)  # it may have met nothing while it lasted


def _progress(records: Records) -> Iterator[Finding]:
    if records.progress_seconds is None:
        yield Finding("I10", "no new order was acknowledged after everything was healed")
    elif records.progress_seconds > PROGRESS_SECONDS:
        text = f"the first new order was acknowledged {records.progress_seconds:.1f} s after everything was healed"
        yield Finding("I10", text, is_timing=True)
    if records.recovered_seconds is None:
        yield Finding("I10", f"never recovered: {'; '.join(records.not_healthy) or 'something is still under way'}")


def _bars(records: Records) -> Iterator[Finding]:
    for text in records.bad_bars:
        yield Finding("I11", text)


def _agreement(records: Records) -> Iterator[Finding]:
    for text in records.not_healthy:
        yield Finding("I12", text)
    for text in records.dirt:
        yield Finding("I12", f"left behind: {text}")
