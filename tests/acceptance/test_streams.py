"""Order streams that break, fall silent, and repeat or mix up what they say."""

from datetime import UTC, datetime

from config.chaos.stack import BROKERS, Stack
from config.chaos.strikes import fault
from config.chaos.trial import Strike, run_trial


def test_streams_are_cut_and_refused(stack: Stack) -> None:
    strikes = [
        Strike(share, f"streams of {broker} cut", fault(stack, broker, "disconnect_streams"))
        for broker in BROKERS
        for share in (0.2, 0.5, 0.8)
    ]
    strikes.append(Strike(0.19, "new streams of A refused for 3 s", fault(stack, "a", "refuse_streams", seconds=3)))
    run_trial(stack, "streams cut and refused", strikes).require_clean()


def test_fills_come_by_poll_when_the_stream_is_silent(stack: Stack) -> None:
    began = datetime.now(UTC)
    strikes = [Strike(0.0, f"stream of {broker} silent", fault(stack, broker, "silent_stream")) for broker in BROKERS]
    run_trial(stack, "streams silent", strikes).require_clean()
    by_source = dict(
        stack.query("SELECT source, count(*) FROM brokers_fill WHERE recorded_at > %s GROUP BY source", [began])
    )
    assert by_source.get("poll", 0) > 50
    assert sum(ledger.stream_events_lost for ledger in stack.ledgers().values()) > 50


def test_fills_are_repeated_late_and_in_the_wrong_order(stack: Stack) -> None:
    strikes = [
        Strike(0.0, "fills of A three times", fault(stack, "a", "duplicate_fills", times=2)),
        Strike(0.0, "some fills of B late", fault(stack, "b", "delay_fills", ms=300, jitter_ms=1500, probability=0.5)),
        Strike(0.0, "other fills of B newest first", fault(stack, "b", "reorder_fills", window=5, ms=400)),
    ]
    run_trial(stack, "fills repeated, late, mixed up", strikes).require_clean()
