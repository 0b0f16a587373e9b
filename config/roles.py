"""The Python processes of an installation: what each runs and how many there should be.

``make up`` starts them as children, ``docker-compose.yml`` as containers; both take their commands from here.
"""

from dataclasses import dataclass

_CELERY = ("celery", "-A", "config.celery")
_LOG_LEVEL = ("-l", "INFO")  # Celery's own default hides the line that says it is ready
_WORKER = (*_CELERY, "worker", "--without-gossip", "--without-mingle", "-E", *_LOG_LEVEL)


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of process. ``arguments`` follow ``python``; ``copies`` is how many a production installation runs.

    Two where the death of one must leave another that is warm; beat, sentinel and streams stand by for each other.
    """

    name: str
    arguments: tuple[str, ...]
    copies: int = 1
    purpose: str = ""


def _module(*words: str) -> tuple[str, ...]:
    return ("-m", *words)


ROLES = (
    Role("web", _module("gunicorn", "config.wsgi:application", "-c", "config/gunicorn.py"), 1, "API, pages, metrics"),
    Role("worker-orders", _module(*_WORKER, "-Q", "orders", "-c", "1"), 2, "order work alone"),
    Role(
        "worker-general",
        _module(*_WORKER, "-Q", "recovery,market_data,alerts,default", "-c", "2"),
        1,
        "all other lanes",
    ),
    Role("beat", _module(*_CELERY, "beat", "--pidfile=", *_LOG_LEVEL), 2, "schedules; one acts"),
    Role("sentinel", ("manage.py", "run_sentinel"), 2, "hands on lost work; one acts"),
    Role("streams", ("manage.py", "run_streams"), 2, "order streams, each held by one"),
    Role("flower", _module(*_CELERY, "flower", "--url-prefix=flower"), 1, "queues, shown by web"),
)

SETUP = (("manage.py", "migrate", "--noinput"), ("manage.py", "prepare_installation"))
"""What is run once before any of them, in this order."""


def get_role(name: str) -> Role:
    """Return a role; raises ``KeyError``."""
    return {role.name: role for role in ROLES}[name]
