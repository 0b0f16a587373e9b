"""SQL for kinds whose usual job takes one statement from due to begun, and one from answered to done.

Each round trip of a transaction costs a switch between two processes, and the general way takes
four for a claim and five for an outcome. A kind may settle what needs no decision in a statement
of its own, built from these parts (``JobKind.claim_express``, ``JobKind.apply_express``); all
else goes the general way, which does the same and more. A single statement is a transaction, so
nothing is half done, and the locks are taken in the same order: jobs first.
"""

from reliability.services.jobs.table import CLAIM_OF, CLAIMED_COLUMNS, DUE


def due_jobs() -> str:
    """Return SQL that locks due jobs and returns the columns of ``DUE``; name it ``due``."""
    return DUE


def claim_of(source: str, *, key: str, also: str) -> str:
    """Return SQL that claims the jobs of ``source``, which has their ``lease`` and their id as ``key``.

    It returns ``CLAIMED_COLUMNS`` columns of each job, and behind them those of the source that ``also`` lists, with
    ``due.`` before their names: a join of two results of one statement would compare every row with every other.
    """
    return f"{CLAIM_OF.format(source=source, key=key)}, {also}"


def held_of(source: str) -> str:
    """Return SQL that locks those jobs of ``source`` (``job, fence``) still held, and returns ``id, fence``."""
    return f"""
    SELECT job.id, job.fence FROM reliability_job job
    JOIN {source} held ON held.job = job.id AND held.fence = job.fence
    WHERE job.state = 'running'
    ORDER BY job.id FOR UPDATE OF job
    """  # noqa: S608  # a name of our own code


def finish_of(source: str) -> str:
    """Return SQL that finishes the jobs of ``source`` (``job``), locked before by ``held_of``."""
    return f"""
    UPDATE reliability_job
    SET state = 'succeeded', worker = NULL, lease_until = NULL, finished_at = clock_timestamp(), error_code = '',
        error_message = ''
    WHERE id IN (SELECT job FROM {source})
    """  # noqa: S608  # a name of our own code


__all__ = ["CLAIMED_COLUMNS", "claim_of", "due_jobs", "finish_of", "held_of"]
