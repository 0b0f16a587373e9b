import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from reliability.services.pulse import start_process_pulse
from reliability.services.records import follow_records, hear_everything
from reliability.services.sentinel import Sentinel


class Command(BaseCommand):
    help = "Watch over jobs and processes; several may run, one acts."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        pulse = start_process_pulse("sentinel", "sentinel")
        hear_everything()
        follow_records()
        Sentinel(pulse).run(stop)
        pulse.stop()
