"""Reading what is recorded of circuits."""

from reliability.models import CircuitTransition

_LATEST = """
SELECT latest.* FROM (
    SELECT name FROM reliability_circuit
) AS known
CROSS JOIN LATERAL (
    SELECT * FROM reliability_circuittransition AS one WHERE one.circuit = known.name ORDER BY one.at DESC LIMIT 1
) AS latest
"""


def latest_transitions() -> dict[str, CircuitTransition]:
    """Return the last change of each circuit, by name: one index probe per circuit, however long the history is."""
    return {row.circuit: row for row in CircuitTransition.objects.raw(_LATEST)}


def list_transitions(name: str = "", *, after_id: int | None = None, limit: int = 100) -> list[CircuitTransition]:
    """Return changes of one circuit or of all, newest first; ``after_id`` goes on after the last one of a page."""
    rows = CircuitTransition.objects.order_by("-id")
    if name:
        rows = rows.filter(circuit=name)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])
