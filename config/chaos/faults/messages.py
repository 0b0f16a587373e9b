"""Messages that no task can come of, put into Celery's queue."""

from config.chaos.faults.fault import Fault
from config.chaos.messages import publish_what_is_no_task
from config.chaos.stack import wait_until

DEAD_MESSAGES = "SELECT error_code FROM reliability_job WHERE kind = 'celery.message' AND state = 'dead' ORDER BY id"


class BadMessages(Fault):
    """Six messages: an unknown task, unreadable bytes, pickle, YAML, wrong arguments, one far too large.

    It is back once each is a dead letter of its own; those are asked for, so they are no problem.
    """

    kind = "bad_messages"

    def begin(self) -> None:
        before = len(self.stack.query(DEAD_MESSAGES))
        wanted = publish_what_is_no_task(self.stack.instance.env["REDIS_URL"])

        def fresh() -> list[str]:
            return [row[0] for row in self.stack.query(DEAD_MESSAGES)[before:]]

        wait_until(lambda: len(fresh()) >= len(wanted), "each message is a dead letter")
        assert sorted(fresh()) == wanted, fresh()
        self.stack.accept_dead_letters()


FAULTS = (BadMessages,)
