import asyncio
import signal
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand

from brokers.services.streams.supervisor import StreamSupervisor
from reliability.services.pulse import start_process_pulse
from reliability.services.records import follow_records
from reliability.services.tracing.provider import start_tracing, stop_tracing


class Command(BaseCommand):
    help = "Hold the order streams of all accounts; several may run, one holds each."

    def handle(self, *args: Any, **options: Any) -> None:
        pulse = start_process_pulse("streams", "streams")
        follow_records()
        start_tracing("streams")
        with suppress(asyncio.CancelledError):
            asyncio.run(self._run(StreamSupervisor(pulse)))
        pulse.stop()
        stop_tracing()

    async def _run(self, supervisor: StreamSupervisor) -> None:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await supervisor.run()
