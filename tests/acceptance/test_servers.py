"""Redis and PostgreSQL taken away under load."""

from config.chaos.stack import Stack
from config.chaos.strikes import moments, stop_database_hard, wipe_redis
from config.chaos.trial import Strike, draws, run_trial


def test_redis_is_killed_and_its_data_lost(stack: Stack) -> None:
    name = "Redis wiped"
    strikes = [Strike(share, "kill -9 Redis and wipe it", wipe_redis(stack)) for share in moments(draws(name), 2)]
    run_trial(stack, name, strikes).require_clean()


def test_postgres_stops_as_in_a_crash(stack: Stack) -> None:
    name = "PostgreSQL crashed"
    (share,) = moments(draws(name), 1)
    strike = Strike(share, "SIGQUIT to PostgreSQL, away for 2 s", stop_database_hard(stack))
    run_trial(stack, name, [strike]).require_clean()
