"""Settings of the web server: threads, because every view is short and synchronous."""

import os
from typing import Any

bind = f"{os.environ.get('STANCHION_BIND', '127.0.0.1')}:{os.environ.get('STANCHION_PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("STANCHION_WEB_WORKERS", "1"))
threads = int(os.environ.get("STANCHION_WEB_THREADS", "12"))
timeout = 30
graceful_timeout = 5
keepalive = 75
max_requests = 0
limit_request_line = 8190
errorlog = "-"
loglevel = "warning"
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Open this process's pulse and follow what people decide, once it serves."""
    from reliability.services.pulse import start_process_pulse
    from reliability.services.records import follow_records
    from reliability.services.tracing.provider import start_tracing

    start_process_pulse("web", f"web-{worker.age}")
    follow_records()
    start_tracing("web")


def worker_exit(server: Any, worker: Any) -> None:
    """Send what was traced before this process is gone."""
    from reliability.services.tracing.provider import stop_tracing

    stop_tracing()
