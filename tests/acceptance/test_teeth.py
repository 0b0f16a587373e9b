"""Teeth: with one protection taken away, the scenario that it protects from must fail.

A scenario that stays green without the protection proves nothing. Where the harm is a delay,
the protection is given back and the same orders must then end clean.
"""

from datetime import UTC, datetime

import pytest

from tests.acceptance.load import market_buy
from tests.acceptance.sabotage import Protection
from tests.acceptance.stack import Stack
from tests.acceptance.strikes import fault, kill_child
from tests.acceptance.test_frozen import frozen_until
from tests.acceptance.trial import NotCleanError, Strike, Trial, draws, run_trial

_ORDERS = 40
_SHORT_SECONDS = 8.0


def trial(stack: Stack, name: str, strikes: list[Strike], *, symbol: str = "KO", **options: object) -> Trial:
    """Run a small trial of equal market orders to broker A."""
    settings = {"orders": _ORDERS, "settle_seconds": _SHORT_SECONDS, **options}
    return run_trial(stack, f"teeth: {name}", strikes, draw=market_buy(symbol), **settings)  # type: ignore[arg-type]


def require_healed(stack: Stack, name: str) -> None:
    """Give the protection back: what it left behind must end well, together with a few more orders."""
    stack.restore_all()
    stack.clear_faults()
    stack.known_problems.clear()
    stack.abandoned.clear()
    run_trial(stack, f"healed: {name}", orders=10, draw=market_buy("KO")).require_clean()


def test_blind_resending_doubles_orders(breakable: Stack) -> None:
    strikes = [Strike(0.0, "replies lost", fault(breakable, "a", "drop_reply", operation="submit", probability=0.5))]
    breakable.fault("a", "no_dedupe")
    breakable.take_away(Protection.LOOK_UP)
    with pytest.raises(NotCleanError, match="doubled"):
        trial(breakable, "no look-up before resending", strikes).require_clean()


def test_with_the_look_up_nothing_is_doubled_even_where_the_broker_would_take_it_twice(breakable: Stack) -> None:
    strikes = [Strike(0.0, "replies lost", fault(breakable, "a", "drop_reply", operation="submit", probability=0.5))]
    breakable.fault("a", "no_dedupe")
    trial(breakable, "control: look-up, no dedupe", strikes, settle_seconds=60.0).require_clean()


def test_without_rescue_the_jobs_of_the_dead_stay(breakable: Stack) -> None:
    name = "no rescue of lost jobs"
    breakable.fault("a", "latency", operation="submit", ms=500)
    breakable.take_away(Protection.RESCUE)
    act = kill_child(breakable, "worker-orders", draws(name))
    strikes = [Strike(share, "kill -9 a pool process", act) for share in (0.4, 0.7)]
    with pytest.raises(NotCleanError, match=r"still (running|sending)"):
        trial(breakable, name, strikes).require_clean()
    require_healed(breakable, name)


def test_without_a_second_look_a_lost_message_is_a_lost_order(breakable: Stack) -> None:
    name = "no second look, Redis away"
    control = breakable.instance.control
    breakable.take_away(Protection.SECOND_LOOK)
    control.stop("valkey", "SIGKILL")
    late = Strike(0.95, "Redis comes back, empty", lambda: control.wipe("valkey"))
    with pytest.raises(NotCleanError, match="still accepted"):
        trial(breakable, name, [late]).require_clean()
    require_healed(breakable, name)


def test_without_polling_a_silent_stream_hides_fills(breakable: Stack) -> None:
    name = "no poll, silent stream"
    breakable.fault("a", "silent_stream")
    breakable.take_away(Protection.POLL)
    with pytest.raises(NotCleanError, match="still working"):
        trial(breakable, name, []).require_clean()
    require_healed(breakable, name)


@pytest.mark.parametrize("protection", [Protection.LEASE, Protection.FENCE])
def test_a_worker_that_wakes_past_its_lease_doubles_orders(breakable: Stack, protection: Protection) -> None:
    stalled_worker(breakable, f"no {protection}", protection)


def test_a_worker_that_wakes_past_its_lease_does_no_harm(breakable: Stack) -> None:
    stalled_worker(breakable, "control: stalled before its calls", None)


def stalled_worker(stack: Stack, name: str, protection: Protection | None) -> None:
    """Stall a worker between claim and call, freeze it past its lease, and wake it while another one sends."""
    stack.fault("a", "no_dedupe")
    began = datetime.now(UTC)
    with stack.second_order_worker() as second:
        stack.take_away(Protection.HOLD_CALLS)
        if protection:
            stack.take_away(protection)

        def others_are_sending() -> bool:
            stack.restore(Protection.HOLD_CALLS)
            return bool(stack.query(_TAKEN_OVER, [began]))

        freeze = frozen_until(stack, lambda: stack.children("worker-orders"), others_are_sending)

        def act() -> None:
            stack.fault("a", "latency", operation="submit", ms=3500, applied=True)
            freeze()

        strikes = [Strike(0.5, "the order worker stalls and is frozen", act)]
        judged = trial(stack, name, strikes, settle_seconds=30.0)
        assert second.poll() is None
    if protection is None:
        judged.require_clean()
        return
    with pytest.raises(NotCleanError, match="doubled"):
        judged.require_clean()


_TAKEN_OVER = """
SELECT 1 FROM reliability_job job JOIN brokers_order o ON o.id = job.subject
WHERE job.created_at > %s AND job.crashes > 0 AND job.state = 'running' AND o.state = 'sending'
"""


def test_fills_booked_twice_move_positions_twice(breakable: Stack) -> None:
    strikes = [Strike(0.0, "fills three times", fault(breakable, "a", "duplicate_fills", times=2))]
    breakable.take_away(Protection.FILLS)
    with pytest.raises(NotCleanError, match="position of sim-a in GOOGL"):
        trial(breakable, "fills not de-duplicated", strikes, symbol="GOOGL").require_clean()


def test_ignored_keys_double_what_clients_repeat(breakable: Stack) -> None:
    breakable.take_away(Protection.KEY)
    with pytest.raises(NotCleanError, match="doubled: nobody was told"):
        trial(breakable, "idempotency key ignored", [], times=2).require_clean()
