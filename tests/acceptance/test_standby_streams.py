"""Two connections of one stream, and two processes that could hold it."""

from datetime import UTC, datetime
from typing import Any

from config.chaos.stack import Stack, wait_until
from config.chaos.strikes import fault
from config.chaos.trial import Strike, run_trial

_CHANGES = """
SELECT change.kind, change.endpoint FROM brokers_streamchange change JOIN brokers_account account
ON account.id = change.account_id WHERE account.name = 'sim-a' AND change.at > %s ORDER BY change.id
"""
_STANDBY_UP = """
SELECT session.standby = 'up' AND session.state = 'up' FROM brokers_streamsession session JOIN brokers_account account
ON account.id = session.account_id WHERE account.name = 'sim-a'
"""
_HOLDER = """
SELECT heartbeat.pid FROM brokers_streamsession session JOIN brokers_account account ON account.id = session.account_id
JOIN reliability_heartbeat heartbeat ON heartbeat.pulse = session.pulse WHERE account.name = 'sim-a'
"""


def changes(stack: Stack, since: datetime) -> list[tuple[Any, ...]]:
    return stack.query(_CHANGES, [since])


def wait_for_standby(stack: Stack) -> None:
    wait_until(lambda: stack.query(_STANDBY_UP) == [(True,)], "the stream of A has its standby")


def test_the_backup_endpoint_takes_over_when_the_first_one_stalls_or_loses_events(stack: Stack) -> None:
    for kind, noticed in (("stall_streams", "silent"), ("silent_stream", "mute")):
        wait_for_standby(stack)
        (endpoint,) = stack.query(
            "SELECT endpoint FROM brokers_streamsession s JOIN brokers_account a ON a.id = s.account_id "
            "WHERE a.name = 'sim-a'"
        )[0]
        other = "backup" if endpoint == "primary" else "primary"
        began = datetime.now(UTC)
        strike = Strike(0.3, f"{kind} at the {endpoint} endpoint of A", fault(stack, "a", kind, endpoint=endpoint))
        run_trial(stack, f"{kind} at one endpoint", [strike]).require_clean()
        assert [("switched", other)] == [row for row in changes(stack, began) if row[0] == "switched"][:1]
        assert (noticed, endpoint) in changes(stack, began)
        stack.clear_faults()


def test_calls_go_to_the_second_address_of_a_broker_whose_first_is_shut(stack: Stack) -> None:
    wait_for_standby(stack)
    began = datetime.now(UTC)
    strike = Strike(0.3, "the first address of A is shut", fault(stack, "a", "endpoint_down", endpoint="primary"))
    run_trial(stack, "first address shut", [strike]).require_clean()
    assert ("calls_moved", "backup") in changes(stack, began)


def test_another_process_takes_the_stream_of_one_that_is_killed(stack: Stack) -> None:
    with stack.beside("streams-2", ["manage.py", "run_streams"]) as second:
        wait_until(lambda: stack.count_living([second.pid]) == 1, "there are two stream processes")
        wait_for_standby(stack)
        (holder,) = stack.query(_HOLDER)[0]
        began = datetime.now(UTC)
        strike = Strike(0.3, "kill -9 the process that holds the stream of A", lambda: stack.kill(holder))
        run_trial(stack, "stream process killed beside another", [strike]).require_clean()
        assert any(kind in ("up", "switched") for kind, _ in changes(stack, began))
        wait_until(lambda: stack.query(_HOLDER) != [(holder,)], "another process holds it")
