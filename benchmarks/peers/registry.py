"""All contenders by the name under which they are asked for."""

import importlib
import importlib.util
from collections.abc import Callable

from benchmarks.peers.contender import Contender
from benchmarks.peers.queues import celery_peer, dramatiq_peer

BASELINE = "celery"
PRODUCT_MODULE = "benchmarks.peers.stanchion"
_URLLIB3 = {"BENCH_HTTP": "urllib3"}
_PREFORK = ("-P", "prefork", "-c", "8")

PEERS: dict[str, Callable[[], Contender]] = {
    BASELINE: lambda: celery_peer("naive Celery, prefork 8", *_PREFORK),
    "celery-urllib3": lambda: celery_peer("naive Celery, prefork 8, urllib3", *_PREFORK, environment=_URLLIB3),
    "celery-late": lambda: celery_peer("Celery, prefork 8, late ack", *_PREFORK, environment={"BENCH_LATE_ACK": "1"}),
    "dramatiq": lambda: dramatiq_peer("dramatiq 2x8", processes=2, threads=8),
    "dramatiq-urllib3": lambda: dramatiq_peer("dramatiq 2x25, urllib3", processes=2, threads=25, environment=_URLLIB3),
}


def product_is_there() -> bool:
    return importlib.util.find_spec(PRODUCT_MODULE) is not None


def all_contenders() -> dict[str, Callable[[], Contender]]:
    """Return the peers, and the product's contenders (``CONTENDERS`` of its module) once it is in the tree."""
    if not product_is_there():
        return dict(PEERS)
    return {**PEERS, **importlib.import_module(PRODUCT_MODULE).CONTENDERS}
