"""Brokers that lose requests, refuse, limit, and go away."""

import json
from collections import defaultdict

from brokers.simulator.ledger import LEDGER_NAME
from config.chaos.stack import BROKERS, Stack
from config.chaos.strikes import down, fault, kill, moments
from config.chaos.trial import Strike, draws, run_trial

_AWAY_SECONDS = 10.0
_HITS = 5
_WAIT_NAMED_SECONDS = 1
_WAIT_KEPT_SECONDS = 0.9  # the clocks of two programs, and a date is whole seconds


def hits(stack: Stack, outcome: str) -> int:
    """Return how many replies to orders and cancels both brokers spoiled in that way so far."""
    return sum(ledger.replies[outcome] for ledger in stack.ledgers().values())


def test_connections_break_before_the_effect(stack: Stack) -> None:
    kind = "drop_request"
    before = hits(stack, kind)
    shares = (("submit", 0.25), ("cancel", 0.25), ("query", 0.2))
    strikes = [
        Strike(
            0.0, f"{kind} at broker {broker}", fault(stack, broker, kind, operation=name, probability=share, seconds=4)
        )
        for broker in BROKERS
        for name, share in shares
    ]
    run_trial(stack, f"broker: {kind}", strikes).require_clean()
    assert hits(stack, kind) - before > _HITS  # an opened circuit keeps the rest away


def test_a_broker_is_down_for_ten_seconds(stack: Stack) -> None:
    (share,) = moments(draws("broker down"), 1)
    strike = Strike(share, "broker A is down for 10 s", down(stack, "simbroker-a", _AWAY_SECONDS))
    run_trial(stack, "broker down 10 s", [strike]).require_clean()


def test_a_broker_is_killed_and_comes_back(stack: Stack) -> None:
    name = "broker killed"
    strikes = [Strike(share, "kill -9 broker B", kill(stack, "simbroker-b")) for share in moments(draws(name), 2)]
    run_trial(stack, name, strikes).require_clean()


def test_a_wait_named_as_a_date_is_kept(stack: Stack) -> None:
    parameters = {"retry_after": "date", "seconds_to_wait": _WAIT_NAMED_SECONDS + 1}
    act = fault(stack, "a", "rate_limit", operation="submit", probability=0.5, seconds=3, **parameters)
    run_trial(stack, "429, Retry-After in a date", [Strike(0.1, "broker A limits the rate", act)]).require_clean()
    waits = waits_after(stack, "rate_limit")
    assert waits
    assert min(waits) >= _WAIT_KEPT_SECONDS


def waits_after(stack: Stack, outcome: str) -> list[float]:
    """Return, per spoiled reply of broker A to a submit, the seconds until the same order was sent again."""
    spoiled_at: dict[str, float] = {}
    waits = []
    for line in (stack.instance.directory / "simbroker-a" / LEDGER_NAME).read_text().splitlines():
        entry = json.loads(line)
        seconds = entry["monotonic_ns"] / 1e9
        if entry["kind"] == "reply" and entry["outcome"] == outcome:
            spoiled_at[entry["client_order_id"]] = seconds
        elif entry["kind"] == "request" and entry["operation"] == "submit":
            since = spoiled_at.pop(entry["client_order_id"], None)
            waits += [seconds - since] if since is not None else []
    return waits


def test_credentials_expire_for_three_seconds(stack: Stack) -> None:
    before = hits(stack, "auth_expired")
    strikes = [
        Strike(0.3, f"broker {broker} answers {status}", fault(stack, broker, "auth_expired", status=status, seconds=3))
        for broker, status in (("a", 401), ("b", 403))
    ]
    run_trial(stack, "credentials expired 3 s", strikes).require_clean()
    assert hits(stack, "auth_expired") > before


def test_errors_and_hangs_of_a_broker(stack: Stack) -> None:
    strikes = [
        Strike(
            0.0, "500 after the effect", fault(stack, "a", "error", operation="submit", applied=True, probability=0.2)
        ),
        Strike(
            0.0, "503 before the effect", fault(stack, "a", "error", operation="submit", status=503, probability=0.2)
        ),
        Strike(0.0, "a page of some proxy", fault(stack, "b", "error", status=502, body="<html>", probability=0.2)),
        Strike(0.3, "calls hang after the effect", fault(stack, "b", "hang", operation="submit", count=5)),
        Strike(0.3, "replies about other orders", fault(stack, "b", "wrong_data", mode="other_order", count=10)),
    ]
    run_trial(stack, "broker: errors, hangs, wrong data", strikes).require_clean()


def test_orders_are_sent_once_under_impatient_clients(stack: Stack) -> None:
    run_trial(stack, "each order sent three times at once", times=3).require_clean()
    posts: dict[str, int] = defaultdict(int)
    for ledger in stack.ledgers().values():
        for client_order_id, orders in ledger.orders_by_client_order_id.items():
            posts[client_order_id] += len(orders)
    assert set(posts.values()) == {1}
