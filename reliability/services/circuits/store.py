"""The shared state of circuits in Redis: keys, scripts, and what they answer."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import redis

from reliability.core.breaker import BreakerSettings, CircuitState, Counts, PinnedState, parse_state
from reliability.redis_client import open_client
from reliability.services.circuits.values import Pin, Transition

CHANNEL = "stanchion:circuits:changes"
INDEX = "stanchion:circuits"
STEP_SECONDS = 0.05
_FOLDER = Path(__file__).parent
_ODD = re.compile(r"[^A-Za-z0-9:._/@-]")


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the script: an operation on one circuit."""

    name: str
    operation: str
    arguments: tuple[str | int, ...] = ()
    known_settings: int = -1


@dataclass(frozen=True, slots=True)
class Answer:
    """A circuit after a step. ``wait_ms`` None is for ever; ``settings`` only if they are newer than the known."""

    generation: str
    version: int
    state: CircuitState
    wait_ms: int | None
    settings_version: int
    settings: BreakerSettings | None
    pin: dict[str, Any] | None
    is_granted: bool = False
    is_probe: bool = False
    alone: str = ""
    changes: tuple[Transition, ...] = ()
    log: tuple[Transition, ...] = ()
    raw: dict[str, Any] | None = None


@cache
def script(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text()


def connect(url: str, timeout_seconds: float | None) -> "redis.Redis":
    """Return a client of its own: no retries, each answer within the timeout (None waits for ever)."""
    network = {} if url.startswith("unix:") else {"socket_keepalive": True}
    return open_client(
        url,
        **network,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds or 1.0,
        decode_responses=True,
    )


def escape(name: str) -> str:
    """Return the name as part of a key: odd characters become %XX of their UTF-8 bytes, so names stay apart."""
    return _ODD.sub(lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), name)


def keys(name: str) -> tuple[str, str, str, str]:
    """Return the circuit's hash, probes, failing hosts and log; in a cluster they share a slot."""
    base = f"stanchion:circuit:{{{escape(name)}}}"
    return base, f"{base}:probes", f"{base}:hosts", f"{base}:log"


def encode_settings(settings: BreakerSettings) -> str:
    """Return settings as the script reads them: as they are, and their durations in milliseconds."""
    values = settings.to_dict()
    for name in ("cooldown_ms", "cooldown_max_ms", "half_open_limit_ms", "probe_lease_ms", "bucket_ms", "slow_call_ms"):
        values[name] = getattr(settings, name)
    return json.dumps({name: value for name, value in values.items() if value is not None})


def run_steps(client: "redis.Redis", steps: Sequence[Step], process: str, now_ms: int | None = None) -> list[Any]:
    """Run steps in one round trip; an element is an ``Answer``, None where the circuit is missing, or the error.

    ``now_ms`` replaces the server's clock.

    Raises:
        redis.RedisError, OSError: nothing was answered; what was done is unknown.
    """
    now = "" if now_ms is None else now_ms
    source = script("circuit")
    calls = [
        (source, 4, *keys(step.name), step.operation, now, CHANNEL, step.name, process, *_tail(step)) for step in steps
    ]
    return [parse_answer(text) if isinstance(text, str) else text for text in _evaluate(client, calls)]


def _tail(step: Step) -> tuple[str | int, ...]:
    return (step.known_settings, *step.arguments)


def read_versions(client: "redis.Redis", names: Sequence[str]) -> list[str]:
    """Return ``generation version settings_version`` of each circuit as the store has them, blank where missing."""
    found = _evaluate(client, [(script("versions"), len(names), *(keys(name)[0] for name in names))])[0]
    if isinstance(found, Exception):
        raise found
    return cast("list[str]", found)


def _evaluate(client: "redis.Redis", calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    replies = _send(client, "EVALSHA", [(_digest(source), *rest) for source, *rest in calls])
    unknown = [place for place, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
    if unknown:  # it did not run, so it may be run again; EVAL also keeps it
        again = _send(client, "EVAL", [calls[place] for place in unknown])
        for place, reply in zip(unknown, again, strict=True):
            replies[place] = reply
    return replies


def _send(client: "redis.Redis", command: str, calls: Iterable[tuple[Any, ...]]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for arguments in calls:
        pipeline.execute_command(command, *arguments)  # type: ignore[no-untyped-call]  # redis-py leaves it out
    return list(pipeline.execute(raise_on_error=False))


@cache
def _digest(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def parse_answer(text: str) -> Answer | None:
    """Return what the script answered; None: there is no such circuit."""
    raw = json.loads(text)
    if raw.get("missing"):
        return None
    settings = raw.get("settings")
    return Answer(
        generation=raw["gen"],
        version=int(raw["ver"]),
        state=parse_state(raw["state"]),
        wait_ms=raw.get("wait"),
        settings_version=int(raw["cfg"]),
        settings=BreakerSettings.from_dict(settings) if settings else None,
        pin=raw.get("pin"),
        is_granted=raw.get("granted", False),
        is_probe=raw.get("probe", False),
        alone=raw.get("alone", ""),
        changes=tuple(parse_change(json.loads(change)) for change in raw.get("changes") or ()),
        log=tuple(parse_change(json.loads(change)) for change in reversed(raw.get("log") or [])),
        raw=raw,
    )


def parse_change(raw: dict[str, Any]) -> Transition:
    """Return a change as the script publishes it."""
    return Transition(
        circuit=raw["name"],
        generation=raw["gen"],
        version=int(raw["ver"]),
        from_state=parse_state(raw["from"]),
        to_state=parse_state(raw["to"]),
        cause=raw["cause"],
        reason=raw["reason"],
        counts=Counts(**{name: int(value) for name, value in raw["counts"].items()}),
        at=_instant(int(raw["at_us"])),
        process=raw["process"],
        is_local=False,
    )


def parse_pin(raw: dict[str, Any] | None) -> Pin | None:
    """Return a pin as the script keeps it."""
    if not raw:
        return None
    until = raw.get("until_ms")
    expires_at = None if until is None else _instant(int(until) * 1000)
    return Pin(PinnedState(raw["state"]), raw["author"], raw["reason"], expires_at)


def _instant(microseconds: int) -> datetime:
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
