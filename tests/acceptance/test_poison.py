"""A job that kills every process which performs it, among innocent ones."""

from config.chaos.sabotage import POISON_KIND
from config.chaos.stack import Stack, wait_until
from config.chaos.trial import Strike, run_trial

_STARTS = 5
_INSERT = """
INSERT INTO reliability_job (kind, lane, state, priority, payload, attempt, max_attempts, snoozes, crashes, fence,
                             correlation_id, error_code, error_message)
VALUES (%s, 'orders', 'ready', 100, '{}', 0, 6, 0, 0, 0, '', '', '') RETURNING id
"""


def test_a_poison_job_dies_alone(breakable: Stack) -> None:
    stack = breakable
    stack.fault("a", "latency", operation="submit", ms=200)
    jobs: list[int] = []

    def poison() -> None:
        ((job,),) = stack.query(_INSERT, [POISON_KIND])
        jobs.append(job)
        statement = "SELECT 1 FROM reliability_job WHERE id = %s AND state = 'dead'"
        wait_until(lambda: stack.query(statement, [job]), "the poison job is a dead letter", 150)

    trial = run_trial(stack, "a poison job among others", [Strike(0.3, "a poison job", poison)])
    ((code, crashes),) = stack.query("SELECT error_code, crashes FROM reliability_job WHERE id = %s", [jobs[0]])
    assert (code, crashes) == ("SYSTEM_CRASH_LOOP", _STARTS)
    starts = stack.query("SELECT count(*) FROM reliability_jobattempt WHERE job_id = %s AND outcome = 'lost'", jobs)
    assert starts == [(_STARTS,)]
    asked_for = f"dead letter {jobs[0]}:"
    trial.problems[:] = [line for line in trial.problems if not line.startswith(asked_for)]
    trial.require_clean()
