"""Order streams that break and fall silent."""

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
