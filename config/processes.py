"""The processes of one machine's stack: what runs, after what, and when it counts as ready.

Production runs the same Python processes from images; only the servers and the simulated brokers
are of this list alone. docs/reference/processes.md explains them.
"""

import signal
import sys

from config.stack.instance import Instance, process_environment
from config.stack.launch import Account
from config.stack.postgres import clean_environment
from config.stack.readiness import http_answers, postgres_answers, valkey_answers
from config.stack.spec import Kind, LogLine, ProcessSpec

_MANAGE = (sys.executable, "manage.py")
_CELERY = (sys.executable, "-m", "celery", "-A", "config.celery")
_LOG_LEVEL = ("-l", "INFO")  # Celery's own default hides the line that says it is ready
_WORKER_OPTIONS = ("--without-gossip", "--without-mingle", "-E", *_LOG_LEVEL)
# Two, so that the death of one leaves another that is warm: starting Python and Celery takes seconds.
_ORDER_WORKERS = ("worker-orders", "worker-orders-2")
_SERVERS = ("postgres", "valkey")
_SCHEMA = (*_SERVERS, "migrate")


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
    return (*services(instance), *_preparation(instance), *_simulators(instance), *_application(instance))


def _preparation(instance: Instance) -> tuple[ProcessSpec, ...]:
    env = process_environment(instance, instance.login)
    prepare = ProcessSpec("prepare", (*_MANAGE, "prepare_installation"), env, after=_SCHEMA, kind=Kind.ONE_SHOT)
    if instance.schema_is_current:
        return (prepare,)
    migrate = ProcessSpec(
        name="migrate",
        argv=(*_MANAGE, "migrate", "--noinput"),
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
                *("--name", f"sim-{letter}", "--seed", str(seed), "--cash", "100000000"),
            ),
            env=process_environment(instance),
            ready=http_answers(instance.ports[f"simbroker-{letter}"], "/sim/state"),
            stop_seconds=1.0,
        )
        for seed, letter in enumerate("ab", start=1)
    )


def _application(instance: Instance) -> tuple[ProcessSpec, ...]:
    env = process_environment(instance)
    ports = instance.ports
    calling = (*_SCHEMA, "simbroker-a", "simbroker-b")  # started after the brokers they call, stopped before them
    gunicorn = (sys.executable, "-m", "gunicorn", "config.wsgi:application", "-c", "config/gunicorn.py")
    orders = {
        name: ("worker", "-n", f"{name}@{instance.name}", "-Q", "orders", "-c", "1", *_WORKER_OPTIONS)
        for name in _ORDER_WORKERS
    }
    general = (
        "worker",
        "-n",
        f"general@{instance.name}",
        "-Q",
        "recovery,market_data,alerts,default",
        *("-c", "2"),
        *_WORKER_OPTIONS,
    )
    flower = ("flower", "--address=127.0.0.1", f"--port={ports['flower']}")
    login = f"{instance.values['STANCHION_ADMIN_USER']}:{instance.values['STANCHION_ADMIN_PASSWORD']}"
    celery_is_ready = LogLine(r"ready\.")
    return (
        ProcessSpec("web", gunicorn, env, after=_SCHEMA, ready=http_answers(ports["web"], "/health/live")),
        *(
            ProcessSpec(name, (*_CELERY, *arguments), env, after=calling, ready=celery_is_ready)
            for name, arguments in orders.items()
        ),
        ProcessSpec("worker-general", (*_CELERY, *general), env, after=calling, ready=celery_is_ready),
        ProcessSpec(
            "beat", (*_CELERY, "beat", "--pidfile=", *_LOG_LEVEL), env, after=_SCHEMA, ready=LogLine(r"beat: Starting")
        ),
        ProcessSpec("sentinel", (*_MANAGE, "run_sentinel"), env, after=_SCHEMA),
        ProcessSpec("streams", (*_MANAGE, "run_streams"), env, after=(*calling, "prepare")),
        ProcessSpec(
            name="flower",
            argv=(*_CELERY, *flower),
            env={**env, "FLOWER_BASIC_AUTH": login},
            after=_SCHEMA,
            ready=http_answers(ports["flower"], "/healthcheck"),
            stop_seconds=2.0,
        ),
    )
