"""A sign of life lets probes decide early, and less often the more openings it brought in vain."""

from hypothesis import given
from hypothesis import strategies as st

from reliability.core.breaker import Breaker, BreakerSettings, BreakerState, Cause, Outcome, PinnedState, PinOrder

NOW = 1_000_000


def opened(openings: int = 1, settings: BreakerSettings | None = None) -> Breaker:
    """Return a breaker that opened this instant, for the given time in a row."""
    breaker = Breaker(settings or BreakerSettings())
    breaker.trip(NOW, Cause.CONSECUTIVE_FAILURES)
    breaker.openings = openings
    breaker.take_changes()
    return breaker


def test_probes_decide_a_second_after_the_opening() -> None:
    breaker = opened()
    breaker.hear_life(NOW + 999)
    assert breaker.state is BreakerState.OPEN
    breaker.hear_life(NOW + 1000)
    assert breaker.state is BreakerState.HALF_OPEN
    assert [change.cause for change in breaker.take_changes()] == [Cause.SIGN_OF_LIFE]
    assert breaker.admit(NOW + 1000, "a").is_probe


@given(st.integers(1, 40), st.integers(0, 40_000))
def test_each_opening_in_vain_doubles_the_wait_up_to_the_cooldown(openings: int, after_ms: int) -> None:
    breaker = opened(openings)
    earliest = min(1000 * 2 ** (openings - 1), 30_000)
    breaker.hear_life(NOW + after_ms)
    assert breaker.state is (BreakerState.HALF_OPEN if after_ms >= earliest else BreakerState.OPEN)


def test_a_failed_probe_makes_the_next_one_wait_longer() -> None:
    breaker, now, waits = opened(), NOW, []
    for number in range(8):
        since = now
        while breaker.state is BreakerState.OPEN:
            now += 100
            breaker.hear_life(now)
        waits.append(now - since)
        breaker.admit(now, f"probe {number}")
        breaker.report(now, breaker.version, f"probe {number}", Outcome.FAILURE)
    assert waits == [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]


def test_a_recovery_forgets_the_openings() -> None:
    breaker = opened(openings=6)
    breaker.hear_life(NOW + 30_000)
    for number in range(3):
        breaker.admit(NOW + 30_000, f"probe {number}")
        breaker.report(NOW + 30_001, breaker.version, f"probe {number}", Outcome.SUCCESS)
    assert breaker.state is BreakerState.CLOSED
    breaker.trip(NOW + 40_000, Cause.CONSECUTIVE_FAILURES)
    breaker.hear_life(NOW + 41_000)
    assert breaker.state is BreakerState.HALF_OPEN


@given(st.integers(0, 100_000))
def test_a_pin_and_a_closed_breaker_hear_nothing(after_ms: int) -> None:
    closed, forced = Breaker(), opened()
    forced.set_pin(NOW, PinOrder(PinnedState.FORCED_OPEN))
    for breaker, state in ((closed, BreakerState.CLOSED), (forced, PinnedState.FORCED_OPEN)):
        breaker.hear_life(NOW + after_ms)
        assert breaker.effective_state is state


def test_a_short_cooldown_is_never_prolonged() -> None:
    breaker = opened(openings=9, settings=BreakerSettings(cooldown_seconds=0.4))
    breaker.hear_life(NOW + 400)
    assert breaker.state is BreakerState.HALF_OPEN
