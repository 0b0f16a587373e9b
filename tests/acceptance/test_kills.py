"""Processes killed with -9 at random moments. Workers with calls in the air: the chaos scenario worker-killed."""

import pytest

from config.chaos.stack import ORDER_WORKERS, Stack
from config.chaos.strikes import kill, kill_child, moments
from config.chaos.trial import Strike, draws, run_trial
from tests.acceptance.agreement import require_agreement


@pytest.mark.parametrize("victim", ["sentinel", "beat", "streams"])
def test_a_single_process_dies(stack: Stack, victim: str) -> None:
    name = f"{victim} killed"
    chance = draws(name)
    strikes = [Strike(share, f"kill -9 {victim}", kill(stack, victim)) for share in moments(chance, 2)]
    run_trial(stack, name, strikes).require_clean()


def test_web_processes_die_under_clients_that_insist(stack: Stack) -> None:
    name = "web killed"
    chance = draws(name)
    strikes = [
        Strike(share, "kill -9 a gunicorn worker", kill_child(stack, "web", chance)) for share in moments(chance, 2)
    ]
    strikes.append(Strike(0.5, "kill -9 the gunicorn master", kill(stack, "web")))
    run_trial(stack, name, strikes, times=2).require_clean()


def test_everything_dies_in_one_run(stack: Stack) -> None:
    name = "everything killed"
    chance = draws(name)
    victims = [
        *ORDER_WORKERS,
        "worker-general",
        "sentinel",
        "beat",
        "streams",
        "web",
        "simbroker-a",
        "valkey",
        "postgres",
    ]
    strikes = [Strike(chance.random(), f"kill -9 {victim}", kill(stack, victim)) for victim in victims]
    run_trial(stack, name, strikes, orders=300).require_clean()
    require_agreement(stack)
