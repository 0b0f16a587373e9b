"""What a person or a program does with circuits, from any process; each call is one round trip."""

from datetime import UTC, datetime
from typing import cast

import redis

from reliability.conf import get_conf
from reliability.core.breaker import BreakerSettings, BreakerState, Counts, PinnedState
from reliability.services.circuits.registry import get_runtime
from reliability.services.circuits.store import INDEX, Answer, Step, connect, encode_settings, parse_pin, run_steps
from reliability.services.circuits.values import CircuitStatus, StoreUnavailableError

_PATIENCE_SECONDS = 1.0


def configure(name: str, settings: BreakerSettings, version: int) -> None:
    """Put settings in force in every process; ``version`` starts at 1 and older ones are ignored.

    Raises:
        StoreUnavailableError: other processes learn of them from the loader, once the store is back.
    """
    _order(name, "configure", (version, encode_settings(settings)))


def pin(
    name: str, state: PinnedState, seconds: float | None, author: str, reason: str, version: int | None = None
) -> None:
    """Pin a circuit in every process for ``seconds``, or until ``unpin`` (None).

    ``version`` orders pins and their removals: an older one than the last is ignored. Without
    it the call is the latest.

    Raises:
        ValueError: ``seconds`` is not positive.
        StoreUnavailableError: the other processes were not told.
    """
    if seconds is not None and not seconds > 0:
        raise ValueError("a pin lasts longer than no time")
    lasts = "" if seconds is None else max(1, round(seconds * 1000))
    _order(name, "pin", ("" if version is None else version, PinnedState(state).value, lasts, author, reason))


def unpin(name: str, author: str = "", reason: str = "", version: int | None = None) -> None:
    """Remove the pin; after forced open, probes decide, otherwise the circuit is closed.

    Raises:
        StoreUnavailableError: the other processes were not told.
    """
    _order(name, "unpin", ("" if version is None else version, _words(author, reason)))


def reset(name: str, author: str = "", reason: str = "") -> None:
    """Close the circuit and forget what was counted; a pin stays.

    Raises:
        StoreUnavailableError: the other processes were not told.
    """
    _order(name, "reset", (_words(author, reason),))


def is_store_reachable() -> bool:
    """Tell whether the shared state can be read now."""
    try:
        with connect(get_conf().redis_url, _PATIENCE_SECONDS) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError, ValueError):
        return False


def list_statuses() -> list[CircuitStatus]:
    """Return every circuit the store has, by name; without the store, what this process believes."""
    runtime = get_runtime()
    try:
        with connect(get_conf().redis_url, _PATIENCE_SECONDS) as client:
            names = sorted(cast("set[str]", client.smembers(INDEX)))
            answers = run_steps(client, [Step(name, "read", (-1,)) for name in names], runtime.process)
    except (redis.RedisError, OSError, ValueError):
        return [_believed(name) for name in sorted(runtime.circuits)]
    return [_status(name, found) for name, found in zip(names, answers, strict=True) if isinstance(found, Answer)]


def _order(name: str, operation: str, arguments: tuple[str | int, ...]) -> None:
    runtime = get_runtime()
    step = Step(name, operation, arguments)
    try:
        with connect(get_conf().redis_url, _PATIENCE_SECONDS) as client:
            found = run_steps(client, [step], runtime.process)[0]
            if found is None:
                client.sadd(INDEX, name)
                run_steps(client, [runtime.create(name)], runtime.process)
                found = run_steps(client, [step], runtime.process)[0]
    except (redis.RedisError, OSError, ValueError) as error:
        raise StoreUnavailableError(str(error)) from error
    if not isinstance(found, Answer):
        raise StoreUnavailableError(str(found))
    for transition in found.changes:
        runtime.tell(transition)
    circuit = runtime.circuits.get(name)
    if circuit is not None and runtime.is_running:
        circuit.adopt(found)


def _words(author: str, reason: str) -> str:
    return f"{author}: {reason}" if author and reason else author or reason


def _status(name: str, found: Answer) -> CircuitStatus:
    raw = found.raw or {}
    assert found.settings is not None
    has_opened = found.state in (BreakerState.OPEN, BreakerState.HALF_OPEN)
    return CircuitStatus(
        name=name,
        state=found.state,
        version=found.version,
        generation=found.generation,
        opened_at=datetime.fromtimestamp(raw["opened_ms"] / 1000, UTC) if has_opened and raw["opened_ms"] else None,
        remaining_seconds=None if found.wait_ms is None else found.wait_ms / 1000,
        counts=Counts(**{key: int(value) for key, value in raw["counts"].items()}),
        probes_in_flight=int(raw["probes"]),
        probe_successes=int(raw["wins"]),
        pin=parse_pin(found.pin),
        settings=found.settings,
        settings_version=found.settings_version,
        is_shared=True,
    )


def _believed(name: str) -> CircuitStatus:
    circuit = get_runtime().get(name)
    return CircuitStatus(
        name=name,
        state=circuit.state,
        version=max(0, circuit.version),
        generation=circuit.generation,
        opened_at=None,
        remaining_seconds=circuit.remaining_seconds(),
        counts=Counts(),
        probes_in_flight=0,
        probe_successes=0,
        pin=None,
        settings=circuit.settings,
        settings_version=max(0, circuit.settings_version),
        is_shared=False,
    )
