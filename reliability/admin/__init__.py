from reliability.admin import (
    alerts,
    circuits,
    dead_letters,
    error_groups,
    errors,
    jobs,
    lanes,
    processes,
    sagas,
    tokens,
)

__all__ = [
    "alerts",
    "circuits",
    "dead_letters",
    "error_groups",
    "errors",
    "jobs",
    "lanes",
    "processes",
    "sagas",
    "tokens",
]
