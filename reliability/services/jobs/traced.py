"""What the runner does differently while traces are on; OpenTelemetry is imported with the first of it."""

from collections.abc import Awaitable, Callable, Sequence

from reliability.core.jobs import Performed
from reliability.services.jobs.execution import apply_outcomes
from reliability.services.jobs.kinds import Call


def note_origins(calls: Sequence[Call]) -> None:
    """Read the traces that claimed jobs come from."""
    from reliability.services.tracing.work import note_claimed

    note_claimed([call.job for call in calls])


async def perform_traced(call: Call, perform: Callable[[Call], Awaitable[Performed]]) -> Performed:
    """Perform a call within a span of its job."""
    from reliability.services.tracing import work

    return await work.perform_traced(call, perform)


def apply_traced(outcomes: Sequence[Performed]) -> None:
    """Write outcomes within a span that is linked to their jobs."""
    from reliability.services.tracing.work import applying

    with applying(outcomes):
        apply_outcomes(outcomes)
