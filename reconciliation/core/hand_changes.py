"""Rows that were changed where nothing ever changes rows: told by counts, so that it costs the same at any size."""

from collections.abc import Collection, Mapping, Sequence

FILE, ADDED, CHANGED, TAKEN_OUT = range(4)


def changed_by_hand(
    before: Mapping[str, Sequence[int]], now: Mapping[str, Sequence[int]], append_only: Collection[str]
) -> dict[str, str]:
    """Return the tables whose old rows cannot be relied upon since ``before``, and why.

    The program adds rows to these tables and takes none out; to those in ``append_only`` it makes no change
    either. Counts that were lost, with a crash of PostgreSQL or a backup, tell nothing: then anything may
    have been changed.

    Args:
        before: File, rows added, changed and taken out, by table, as of the last look; empty before the first.
        now: The same now, empty where nothing is counted.
    """
    found = {}
    for table, counts in before.items():
        reason = _why(counts, now.get(table), table in append_only)
        if reason:
            found[table] = reason
    return found


def _why(before: Sequence[int], now: Sequence[int] | None, is_append_only: bool) -> str:
    if now is None:
        return "PostgreSQL does not count its rows"
    if now[FILE] != before[FILE]:
        return "it was rewritten"
    if any(now[one] < before[one] for one in (ADDED, CHANGED, TAKEN_OUT)):
        return "the counts were lost"
    changed = now[CHANGED] - before[CHANGED] if is_append_only else 0
    taken_out = now[TAKEN_OUT] - before[TAKEN_OUT]
    told = [f"{count} rows were {what}" for count, what in ((changed, "changed"), (taken_out, "taken out")) if count]
    return " and ".join(told)
