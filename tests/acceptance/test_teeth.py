"""Teeth: with one protection taken away, the scenario that it protects from must fail.

A scenario that stays green without the protection proves nothing. Where the harm is a delay,
the protection is given back and the same orders must then end clean.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest

from config.chaos.load import market_buy
from config.chaos.sabotage import Protection
from config.chaos.stack import Stack
from config.chaos.strikes import fault, kill_holder
from config.chaos.trial import NotCleanError, Strike, Trial, run_trial, what_it_is_about
from tests.acceptance.test_frozen import frozen_until

_ORDERS = 40
_SHORT = 8.0
_CHANCES = 4
_HELD_CALLS = 4
_LOST_REPLIES = 8
_IN_THE_AIR_MS = 3500
_TAKEN_OVER = """
SELECT 1 FROM reliability_job job JOIN brokers_order o ON o.id = job.subject
WHERE job.created_at > %s AND job.attempt > 1 AND job.state = 'running' AND o.state = 'sending'
"""


def small_trial(
    stack: Stack, name: str, strikes: Sequence[Strike], *, symbol: str = "KO", times: int = 1, seconds: float = _SHORT
) -> Trial:
    """Run a small trial of equal market orders to broker A."""
    draw = market_buy(symbol)
    return run_trial(stack, f"teeth: {name}", strikes, orders=_ORDERS, draw=draw, times=times, settle_seconds=seconds)


def require_harm(attempt: Callable[[], Trial], harm: str) -> Trial:
    """Fail unless a trial is not clean, and in this way; a strike may miss its moment, so it has some chances."""
    seen: list[str] = []
    for _ in range(_CHANCES):
        trial = attempt()
        try:
            trial.require_clean()
        except NotCleanError as error:
            seen.append(str(error))
            if any(re.search(harm, problem) for problem in trial.problems):
                return trial
    raise AssertionError(f"{_CHANCES} trials without {harm!r}: {seen or 'all clean'}")


def require_healed(trial: Trial) -> None:
    """Give the protection back: what its absence left behind must end well, together with a few more orders."""
    stack = trial.stack
    stack.restore_all()
    stack.clear_faults()
    stack.known_problems -= {what_it_is_about(line) for line in trial.problems}
    stack.abandoned -= {order["id"] for order in trial.orders}
    run_trial(stack, f"healed: {trial.name}", orders=10, draw=market_buy("KO")).require_clean()


@pytest.fixture
def no_circuit(breakable: Stack) -> Iterator[None]:
    """Keep the circuit out of it: a broker that loses some replies in a row is kept from orders for a while."""
    breakable.post("/api/v1/circuits/sim-a:orders/pin", {"state": "disabled", "reason": "replies are lost on purpose"})
    yield
    breakable.post("/api/v1/circuits/sim-a:orders/unpin", {"reason": "the trial is over"})


@pytest.mark.usefixtures("no_circuit")
def test_blind_resending_doubles_orders(breakable: Stack) -> None:
    breakable.fault("a", "no_dedupe")
    breakable.take_away(Protection.LOOK_UP)
    name = "no look-up before resending"
    require_harm(lambda: small_trial(breakable, name, [lost_replies(breakable)]), "doubled: order")


@pytest.mark.usefixtures("no_circuit")
def test_looking_up_first_doubles_nothing_even_where_the_broker_would_take_it_twice(breakable: Stack) -> None:
    breakable.fault("a", "no_dedupe")
    small_trial(breakable, "control: look-up", [lost_replies(breakable)], seconds=60.0).require_clean()


def lost_replies(stack: Stack) -> Strike:
    """Lose some replies, with a silent stream, which would tell of the orders otherwise."""
    stack.fault("a", "silent_stream")
    act = fault(stack, "a", "drop_reply", operation="submit", probability=0.5, count=_LOST_REPLIES)
    return Strike(0.0, "replies lost", act)


def test_without_rescue_the_jobs_of_the_dead_stay(breakable: Stack) -> None:
    name = "no rescue of lost jobs"
    breakable.fault("a", "latency", operation="submit", ms=500)
    breakable.take_away(Protection.RESCUE)
    strike = Strike(0.4, "kill -9 a pool process with jobs in hand", kill_holder(breakable, "orders.submit"))
    require_healed(require_harm(lambda: small_trial(breakable, name, [strike]), r"still (running|sending)"))


def test_without_a_second_look_a_lost_message_is_a_lost_order(breakable: Stack) -> None:
    breakable.take_away(Protection.SECOND_LOOK)

    def end_with_the_nudges() -> None:
        breakable.kill(breakable.pid("web"))
        breakable.instance.control.wipe("valkey")

    def attempt() -> Trial:
        breakable.instance.control.stop("valkey", "SIGKILL")
        late = Strike(1.0, "web dies with its nudges unsent, Redis comes back empty", end_with_the_nudges)
        return small_trial(breakable, "no second look, Redis away", [late])

    require_healed(require_harm(attempt, "still accepted"))


def test_without_polling_a_silent_stream_hides_fills(breakable: Stack) -> None:
    breakable.fault("a", "silent_stream")
    breakable.take_away(Protection.POLL)
    require_healed(require_harm(lambda: small_trial(breakable, "no poll, silent stream", []), "still working"))


def test_without_the_lease_check_a_worker_that_wakes_late_doubles_orders(breakable: Stack) -> None:
    require_harm(lambda: stalled_worker(breakable, "no lease check", Protection.LEASE), "doubled: order")


def test_without_the_fence_a_worker_that_wakes_late_spoils_what_others_do(breakable: Stack) -> None:
    require_harm(lambda: stalled_worker(breakable, "no fence", Protection.FENCE), "(doubled|unknown): order")


def test_a_worker_that_wakes_past_its_lease_does_no_harm(breakable: Stack) -> None:
    stalled_worker(breakable, "control: stalled before its calls", None).require_clean()


def stalled_worker(stack: Stack, name: str, protection: Protection | None) -> Trial:
    """Stall a worker between claim and call, freeze it past its lease, and wake it while another one sends."""
    stack.fault("a", "no_dedupe")
    stack.fault("a", "silent_stream")
    began = datetime.now(UTC)
    if protection:
        stack.take_away(protection)
    stack.take_away(Protection.HOLD_CALLS)

    def others_are_sending() -> bool:
        stack.restore(Protection.HOLD_CALLS)
        return bool(stack.query(_TAKEN_OVER, [began]))

    freeze = frozen_until(stack, lambda: stack.children("worker-orders"), others_are_sending, held=_HELD_CALLS)

    def act() -> None:
        stack.fault("a", "latency", operation="submit", ms=_IN_THE_AIR_MS, applied=True)
        freeze()

    return small_trial(stack, name, [Strike(0.25, "the order worker stalls and is frozen", act)], seconds=20.0)


def test_ignored_keys_double_what_clients_repeat(breakable: Stack) -> None:
    breakable.take_away(Protection.KEY)
    require_harm(lambda: small_trial(breakable, "idempotency key ignored", [], times=2), "doubled: nobody was told")


def test_fills_booked_twice_move_positions_twice(breakable: Stack) -> None:
    """The last one: the fills that each synchronization reads again move the positions of other symbols, too."""
    strike = Strike(0.0, "fills three times", fault(breakable, "a", "duplicate_fills", times=2))
    breakable.take_away(Protection.FILLS)
    name = "fills not de-duplicated"
    require_harm(lambda: small_trial(breakable, name, [strike], symbol="GOOGL"), "position of sim-a in GOOGL")
