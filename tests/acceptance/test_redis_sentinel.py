"""Orders flow while the master of Redis dies and its sentinels choose another one; nothing is lost or done twice."""

import pytest

from config.chaos.stack import running_stack
from config.chaos.strikes import moments
from config.chaos.trial import Strike, draws, run_trial
from tests.redis_sentinel import running_sentinels

pytestmark = pytest.mark.long


def test_the_master_of_redis_is_killed_under_orders(tmp_path_factory: pytest.TempPathFactory) -> None:
    name = "Redis Sentinel: master killed"
    with (
        running_sentinels(tmp_path_factory.mktemp("sentinel")) as servers,
        running_stack({"REDIS_URL": servers.url}) as stack,
    ):
        (share,) = moments(draws(name), 1)
        strike = Strike(share, "kill -9 the master of Redis", servers.fail_over)
        run_trial(stack, name, [strike]).require_clean()
        run_trial(stack, "Redis Sentinel: with the new master", orders=60).require_clean()
        assert stack.get("/health/ready")[0] == 200
