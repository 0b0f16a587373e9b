"""The Celery application: it carries nudges, so that a lost message only costs time.

The settings are argued in docs/decisions/0004-celery-carries-nudges.md. Order work never
depends on a message: the row is the truth, and each worker looks at its lanes by itself.
"""

import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

from reliability.core.redis_address import SentinelAddress, is_sentinel, parse_sentinel

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# By name, so that rediss:// keeps its meaning: an entry of a queue that is no message becomes a dead letter.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "config.transport:RecordingTransport"))
TRANSPORT_ALIASES["sentinel"] = "config.transport:RecordingSentinelTransport"

LANES = ("orders", "recovery", "market_data", "alerts", "default")
_LARGEST_MESSAGE_BYTES = 262_144


def _redis_options() -> dict[str, Any]:
    return {
        "visibility_timeout": 60,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 5,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "queue_order_strategy": "priority",
        "global_keyprefix": "stanchion:",
    }


def _rabbitmq_options() -> dict[str, Any]:
    return {"confirm_publish": True, "confirm_timeout": 3, "connect_timeout": 2}


def _sentinel_options(address: SentinelAddress | None) -> dict[str, Any]:
    """Return how the transport finds the master; nothing where the address is that of a server."""
    if address is None:
        return {}
    login = address.sentinel_login()
    return {
        "master_name": address.master,
        "sentinel_kwargs": {"socket_timeout": 2, "socket_connect_timeout": 2, **login},
    }


def settings_for(broker_url: str) -> dict[str, Any]:
    """Return Celery's settings for a broker of messages; the scheme of the URL decides."""
    rabbitmq = broker_url.startswith("amqp")
    sentinel = parse_sentinel(broker_url) if is_sentinel(broker_url) else None
    exchange = Exchange("stanchion", type="topic", durable=True)
    arguments = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": 5} if rabbitmq else None
    return {
        "broker_url": sentinel.celery_url() if sentinel else broker_url,
        "broker_transport_options": _rabbitmq_options() if rabbitmq else _redis_options() | _sentinel_options(sentinel),
        "broker_connection_timeout": 2,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_pool_acquire_timeout": 2,
        "broker_heartbeat": 10 if rabbitmq else 0,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "task_ignore_result": True,
        "result_backend": None,
        "task_publish_retry": False,
        "task_acks_late": False,
        "task_create_missing_queues": False,
        "task_queues": [Queue(lane, exchange, routing_key=lane, queue_arguments=arguments) for lane in LANES],
        "task_default_queue": "default",
        "task_default_exchange": "stanchion",
        "task_default_exchange_type": "topic",
        "task_default_routing_key": "default",
        "task_default_queue_type": "quorum" if rabbitmq else "classic",
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": not rabbitmq,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 8,
        "worker_enable_soft_shutdown_on_idle": True,
        "worker_proc_alive_timeout": 30,
        "worker_eta_task_limit": 100,
        "worker_enable_remote_control": True,
        "worker_send_task_events": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_consumer": "reliability.tasks.consumer:RecordingConsumer",
        "beat_scheduler": "reliability.tasks.scheduler:StandbyScheduler",
        "beat_max_loop_interval": 1,
        "beat_sync_every": 1,
        "timezone": "UTC",
        "enable_utc": True,
        "stanchion_largest_message_bytes": _LARGEST_MESSAGE_BYTES,
    }


def create_app() -> Celery:
    from django.conf import settings

    app = Celery("stanchion")
    app.conf.update(settings_for(settings.MESSAGE_BROKER_URL))
    app.set_default()
    app.autodiscover_tasks(["reliability", "brokers", "reconciliation"])
    return app


app = create_app()
