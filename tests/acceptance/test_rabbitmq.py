"""The same promises with RabbitMQ as Celery's broker of messages."""

from collections.abc import Iterator

import pytest

from config.chaos.stack import Stack, running_stack
from config.chaos.strikes import kill, kill_child, moments
from config.chaos.trial import Strike, draws, run_trial
from tests.acceptance.rabbitmq import RabbitMq, find_program, running_cluster, running_rabbitmq

PROGRAM = find_program()
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(PROGRAM is None, reason="rabbitmq-server (a Debian package) is not installed"),
]


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    assert PROGRAM is not None
    with running_rabbitmq(PROGRAM, tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="module")
def stack_on_rabbitmq(rabbitmq: RabbitMq) -> Iterator[Stack]:
    with running_stack({"STANCHION_BROKER_URL": rabbitmq.url}) as stack:
        yield stack


def test_workers_die_on_rabbitmq(stack_on_rabbitmq: Stack) -> None:
    stack, name = stack_on_rabbitmq, "RabbitMQ: workers killed"
    chance = draws(name)
    strikes = [
        Strike(share, "kill -9 a pool process", kill_child(stack, "worker-orders", chance))
        for share in moments(chance, 2)
    ]
    strikes.append(Strike(chance.random(), "kill -9 the order worker", kill(stack, "worker-orders")))
    run_trial(stack, name, strikes).require_clean()


def test_rabbitmq_itself_is_killed(stack_on_rabbitmq: Stack, rabbitmq: RabbitMq) -> None:
    name = "RabbitMQ: broker killed"

    def kill_and_start() -> None:
        rabbitmq.kill()
        rabbitmq.start()

    (share,) = moments(draws(name), 1)
    run_trial(stack_on_rabbitmq, name, [Strike(share, "kill -9 RabbitMQ, start it", kill_and_start)]).require_clean()
    run_trial(stack_on_rabbitmq, "RabbitMQ: after its return", orders=60).require_clean()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RabbitMq, ...]]:
    assert PROGRAM is not None
    with running_cluster(PROGRAM, tmp_path_factory.mktemp("cluster"), 3) as servers:
        yield servers


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_each_node_of_a_cluster_dies_and_comes_back(
    stack_on_cluster: Stack, cluster: tuple[RabbitMq, ...], victim: int
) -> None:
    """Queues are quorum queues: two of three nodes carry on, one of them as the new leader."""
    name = f"RabbitMQ: node {victim + 1} of 3 killed"
    (share,) = moments(draws(name), 1)
    strike = Strike(share, "kill -9 a node of RabbitMQ", cluster[victim].kill)
    run_trial(stack_on_cluster, name, [strike]).require_clean()
    cluster[victim].start()
    run_trial(stack_on_cluster, f"{name}: after its return", orders=60).require_clean()


@pytest.fixture(scope="module")
def stack_on_cluster(cluster: tuple[RabbitMq, ...]) -> Iterator[Stack]:
    with running_stack({"STANCHION_BROKER_URL": ";".join(server.url for server in cluster)}) as stack:
        yield stack
