"""Run one instance in this process until it is told to stop."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path

from config import processes
from config.stack import templates
from config.stack.console import Follower, Progress, print_addresses
from config.stack.instance import Instance, process_environment
from config.stack.observe import observers
from config.stack.spec import ProcessSpec
from config.stack.supervisor import Supervisor


class Scope(Enum):
    """How much of the stack runs."""

    STACK = "stack"
    OBSERVED = "observed"
    SERVICES = "services"


def serve(
    instance: Instance, scope: Scope, *, quiet: bool, without: Iterable[str] = (), until_eof: bool = False
) -> None:
    """Prepare the data, run the processes of the scope, and return when they have been stopped.

    Args:
        instance: An open instance.
        scope: The whole stack, the same with Prometheus and Alertmanager, or PostgreSQL and Valkey only.
        quiet: Leave what the processes say to their log files; progress and addresses are still shown.
        without: Names of processes to leave out.
        until_eof: Also stop when standard input closes, which is when whoever started us is gone.
    """
    progress = Progress()
    _prepare_data(instance, scope, progress)
    specs = processes.services(instance) if scope is Scope.SERVICES else processes.stack(instance)
    specs += observers(instance) if scope is Scope.OBSERVED else ()
    kept = [spec for spec in specs if spec.name not in set(without)]
    supervise(instance.directory, kept, instance=instance, progress=progress, quiet=quiet, until_eof=until_eof)


def supervise(
    directory: Path,
    specs: Sequence[ProcessSpec],
    *,
    progress: Progress,
    quiet: bool,
    instance: Instance | None = None,
    until_eof: bool = False,
) -> None:
    """Run a supervisor over these processes in this thread, the main one."""
    facts = {"urls": instance.urls, "ports": instance.ports} if instance else {}

    def on_ready() -> None:
        progress.say("everything is ready")
        if instance:
            print_addresses(instance, {spec.name for spec in specs})

    async def main() -> None:
        supervisor = Supervisor(directory, specs, facts, progress.say)
        logs = {name: process.log for name, process in supervisor.processes.items()}
        following = asyncio.create_task(Follower(logs, show=not quiet).run())
        if until_eof:
            _stop_at_eof(supervisor.stopping.set)
        try:
            await supervisor.run(on_ready)
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    asyncio.run(main())


def _prepare_data(instance: Instance, scope: Scope, progress: Progress) -> None:
    if instance.postgres:
        if not instance.postgres.data.exists():
            progress.say("preparing the database")
            if scope is not Scope.SERVICES:
                templates.create_migrated(instance.postgres, process_environment(instance))
                instance.mark_schema_current()
            else:
                templates.create_empty(instance.postgres)
        instance.postgres.configure()
    if instance.valkey:
        instance.valkey.configure()


def _stop_at_eof(stop: Callable[[], None]) -> None:
    """Call ``stop`` in the event loop once standard input is closed."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop()

    try:
        loop.add_reader(descriptor, read)
    except PermissionError:  # a file or /dev/null: it has its end already
        stop()
