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
    service_levels,
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
    "service_levels",
    "tokens",
]
