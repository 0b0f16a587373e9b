"""Messages that no task can come of, put into Celery's queue."""

from config.chaos.faults.fault import Fault
from config.chaos.messages import publish_what_is_no_task

DEAD_MESSAGES = "SELECT error_code FROM reliability_job WHERE kind = 'celery.message' AND state = 'dead' ORDER BY id"


class BadMessages(Fault):
    """Six messages: an unknown task, unreadable bytes, pickle, YAML, wrong arguments, one far too large.

    It is back once each is a dead letter of its own; those are asked for, so they are no problem.
    """

    kind = "bad_messages"

    def begin(self) -> None:
        self._before = len(self.stack.query(DEAD_MESSAGES))
        self._wanted = publish_what_is_no_task(self.stack.message_broker_url)

    def is_back(self) -> bool:
        fresh = sorted(row[0] for row in self.stack.query(DEAD_MESSAGES)[self._before :])
        if fresh == self._wanted:
            self.stack.accept_dead_letters()
        return fresh == self._wanted


FAULTS = (BadMessages,)
