"""Processes killed with -9 at random moments, with broker calls in the air."""

import pytest

from config.chaos.stack import BROKERS, ORDER_WORKERS, Stack
from config.chaos.strikes import kill, kill_child, moments
from config.chaos.trial import Strike, draws, run_trial


@pytest.fixture
def calls_take_time(stack: Stack) -> None:
    """One broker acts late, the other answers late: a kill finds calls on both sides of their effect."""
    for broker in BROKERS:
        stack.fault(broker, "latency", operation="submit", ms=150, jitter_ms=150, applied=broker == "b")


@pytest.mark.usefixtures("calls_take_time")
def test_pool_processes_of_a_worker_die(stack: Stack) -> None:
    name = "pool processes killed"
    chance = draws(name)
    strikes = [
        Strike(share, "kill -9 a pool process", kill_child(stack, chance.choice(ORDER_WORKERS), chance))
        for share in moments(chance, 4)
    ]
    run_trial(stack, name, strikes).require_clean()


@pytest.mark.usefixtures("calls_take_time")
def test_a_whole_worker_dies(stack: Stack) -> None:
    name = "whole workers killed"
    chance = draws(name)
    workers = (*ORDER_WORKERS, "worker-general")
    strikes = [
        Strike(share, f"kill -9 {worker}", kill(stack, worker)) for worker in workers for share in moments(chance, 1)
    ]
    run_trial(stack, name, strikes).require_clean()


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
