"""The processes of one machine's stack: what runs, after what, and when it counts as ready.

The Python processes are those of ``config/roles.py``, which production runs too; only the servers and the
simulated brokers are of this list alone. docs/reference/processes.md explains them.
"""

import signal
import sys

from config.roles import SETUP, get_role
from config.stack import detours
from config.stack.instance import FLOWER_LOGIN, Instance, process_environment, reading_environment
from config.stack.launch import Account
from config.stack.postgres import clean_environment
from config.stack.readiness import http_answers, postgres_answers, valkey_answers
from config.stack.spec import Kind, LogLine, ProcessSpec

# Two, so that the death of one leaves another that is warm: starting Python and Celery takes seconds.
_ORDER_WORKERS = ("worker-orders", "worker-orders-2")
_SERVERS = ("postgres", "valkey")
_SCHEMA = (*_SERVERS, "proxy", "migrate")


def services(instance: Instance) -> tuple[ProcessSpec, ...]:
    """Return the embedded servers: those that no DATABASE_URL or REDIS_URL replaces."""
    specs = []
    if instance.postgres:
        specs.append(
            ProcessSpec(
                name="postgres",
                argv=instance.postgres.argv,
                env=clean_environment(),
                ready=postgres_answers(instance.postgres.port),
                stop_signal=signal.SIGINT,  # a fast shutdown: sessions are ended, data is flushed
                stop_seconds=2.5,
                death_signal=signal.SIGINT,
                account=instance.account,
            )
        )
    if instance.valkey:
        specs.append(
            ProcessSpec(
                name="valkey",
                argv=instance.valkey.argv,
                env=clean_environment(),
                ready=valkey_answers(instance.valkey.port, instance.valkey.password),
                stop_seconds=2.0,
                death_signal=signal.SIGTERM,
                account=Account.SAME,
                wipe=instance.valkey.files,
            )
        )
    return tuple(specs)


def stack(instance: Instance) -> tuple[ProcessSpec, ...]:
    """Return every process of the stack, in the order they are listed to a person."""
    parts = (_proxy(instance), _preparation(instance), _simulators(instance), _application(instance))
    return (*services(instance), *(spec for part in parts for spec in part))


def _proxy(instance: Instance) -> tuple[ProcessSpec, ...]:
    """Return the fault proxy, where an instance is to be broken on purpose."""
    if not detours.are_on():
        return ()
    argv = _python(*detours.proxy_arguments(instance))
    ready = http_answers(instance.ports[detours.CONTROL], "/toxics")
    return (ProcessSpec("proxy", argv, process_environment(instance), ready=ready, stop_seconds=2.0),)


def _preparation(instance: Instance) -> tuple[ProcessSpec, ...]:
    env = detours.detoured(instance, process_environment(instance, instance.login))
    migrating, preparing = SETUP
    prepare = ProcessSpec("prepare", _python(*preparing), env, after=_SCHEMA, kind=Kind.ONE_SHOT)
    if instance.schema_is_current:
        return (prepare,)
    migrate = ProcessSpec(
        name="migrate",
        argv=_python(*migrating),
        env=process_environment(instance),
        after=_SERVERS,
        kind=Kind.ONE_SHOT,
        on_done=instance.mark_schema_current,
    )
    return (migrate, prepare)


def _simulators(instance: Instance) -> tuple[ProcessSpec, ...]:
    return tuple(
        ProcessSpec(
            name=f"simbroker-{letter}",
            argv=(
                *(sys.executable, "-m", "brokers.simulator", "--host", "127.0.0.1"),
                *("--port", str(instance.ports[f"simbroker-{letter}"])),
                *("--backup-port", str(instance.ports[f"simbroker-{letter}-backup"])),
                *("--data-dir", str(instance.directory / f"simbroker-{letter}")),
                *("--name", f"sim-{letter}", "--seed", str(seed), "--data-seed", "1", "--cash", "100000000"),
            ),
            env=process_environment(instance),
            ready=http_answers(instance.ports[f"simbroker-{letter}"], "/sim/state"),
            stop_seconds=1.0,
        )
        for seed, letter in enumerate("ab", start=1)
    )


def _application(instance: Instance) -> tuple[ProcessSpec, ...]:
    own = process_environment(instance)
    env = detours.detoured(instance, own)
    environments = {detours.APART: detours.detoured(instance, own, "-2")}
    reading = detours.detoured(instance, reading_environment(instance, own))
    web = {**env, FLOWER_LOGIN: instance.values[FLOWER_LOGIN]}
    ports = instance.ports
    calling = (*_SCHEMA, "simbroker-a", "simbroker-b")  # started after the brokers they call, stopped before them
    celery_is_ready = LogLine(r"ready\.")
    return (
        ProcessSpec("web", _run("web"), web, after=_SCHEMA, ready=http_answers(ports["web"], "/health/live")),
        *(
            ProcessSpec(
                name,
                (*_run("worker-orders"), *_named(name, instance)),
                environments.get(name, env),
                after=calling,
                ready=celery_is_ready,
            )
            for name in _ORDER_WORKERS
        ),
        ProcessSpec(
            name="worker-general",
            argv=(*_run("worker-general"), *_named("general", instance)),
            env=env,
            after=calling,
            ready=celery_is_ready,
        ),
        ProcessSpec("beat", _run("beat"), env, after=_SCHEMA, ready=LogLine(r"beat: Starting")),
        ProcessSpec("sentinel", _run("sentinel"), env, after=_SCHEMA),
        ProcessSpec("streams", _run("streams"), env, after=(*calling, "prepare")),
        ProcessSpec(
            name="flower",
            argv=(*_run("flower"), "--address=127.0.0.1", f"--port={ports['flower']}"),
            env={**reading, "FLOWER_BASIC_AUTH": instance.values[FLOWER_LOGIN]},
            after=_SCHEMA,
            ready=http_answers(ports["flower"], "/flower/healthcheck"),
            stop_seconds=2.0,
        ),
    )


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


def _run(role: str) -> tuple[str, ...]:
    return _python(*get_role(role).arguments)


def _named(name: str, instance: Instance) -> tuple[str, str]:
    """Return what tells Celery's workers of one machine apart."""
    return ("-n", f"{name}@{instance.name}")
