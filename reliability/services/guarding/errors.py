"""What a guard raises by itself: calls it did not begin."""

import math

from reliability.core.errors import ReliabilityError


class CallRefusedError(ReliabilityError):
    """The call was not begun, for a reason on our side; it may be after ``wait_seconds``."""

    def __init__(self, code: str, dependency: str, wait_seconds: float) -> None:
        details = {"dependency": dependency}
        super().__init__(code, details=details, retry_after_seconds=math.ceil(wait_seconds))
        self.args = (code, dependency, wait_seconds)
        self.dependency = dependency
        self.wait_seconds = wait_seconds
