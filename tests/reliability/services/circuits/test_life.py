"""The script hears signs of life as the machine of the core does, and every process follows."""

from uuid import uuid4

import pytest

from reliability.conf import get_conf
from reliability.core.breaker import BreakerSettings, BreakerState
from reliability.services.circuits.store import Answer, Step, connect, encode_settings, keys, run_steps

NOW = 1_700_000_000_000


@pytest.mark.parametrize("openings", [1, 2, 3, 5, 6, 9])
def test_the_script_waits_as_long_as_the_machine(openings: int) -> None:
    name, generation = f"life {uuid4().hex}", uuid4().hex
    with connect(get_conf().redis_url, 5.0) as client:

        def step(now: int, operation: str, *arguments: str | int) -> Answer:
            found = run_steps(client, [Step(name, operation, arguments)], "p", now)[0]
            assert isinstance(found, Answer), found
            return found

        step(NOW, "create", generation, encode_settings(BreakerSettings()), 1, "", "", "", "")
        now, state = NOW, step(NOW, "record", generation, 0, 0, 5, 0, "host")
        for number in range(1, openings):
            now += 30_000
            assert step(now, "admit", f"probe {number}").is_probe
            state = step(now, "report", generation, state.version + 1, f"probe {number}", "failure")
        assert state.state is BreakerState.OPEN
        earliest = min(1000 * 2 ** (openings - 1), 30_000)
        assert step(now + earliest - 1, "life").state is BreakerState.OPEN
        heard = step(now + earliest, "life")
        assert (heard.state, [change.cause for change in heard.changes]) == (BreakerState.HALF_OPEN, ["sign_of_life"])
        client.delete(*keys(name))
