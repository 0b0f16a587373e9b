"""The kinds of jobs this app brings."""

from reliability.services.jobs.kinds import JobKind, register


def register_job_kinds() -> None:
    kinds: tuple[JobKind, ...] = ()
    for kind in kinds:
        register(kind)
