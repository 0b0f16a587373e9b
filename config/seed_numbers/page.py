"""The page of the numbers asked for: each with every kept measurement, and what that can say."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from config.seed_numbers.asked import ASKED, Asked, Kind
from config.seed_numbers.files import EVIDENCE, measurements, read_all
from config.seed_numbers.measurement import PROVEN_SHARE, Measurement, Verdict, bound, judge, tries_for
from config.seed_numbers.settings_asked import settings_table

_N95, _N99, _N999 = (tries_for(share) for share in (PROVEN_SHARE, 0.99, 0.999))
_HEAD = f"""# The numbers asked for

Generated from the results in [docs/evidence](../evidence/README.md) by `manage.py write_reference`: a new result file
of a known kind appears here, and what has none is *not measured*. Nothing is pooled over files: they are of different
commits and machines.

How to read it:

- A **time** is met when no case took longer and there were enough of them, {_N95}, to say with 95 % confidence that
  95 % of such cases stay below the limit. The longest of n cases bounds the p95 at n = {_N95}, the p99 at n = {_N99}.
  That *no* case will ever take longer cannot be shown by measuring.
- A **rate** is met when the exact one-sided bound of Clopper and Pearson at 95 % confidence lies within what is asked.
  Without a miss 99.9 % takes {_N999:,} cases, 99 % {_N99}, 95 % {_N95}; about 3/n stays possible (rule of three).
- **None at all** is met when nothing went wrong; the bound says how much could have stayed unseen.
- Each sentence holds for the mix of faults that was injected, on simulated brokers and one machine. It says nothing
  about faults that nobody thought of; cases of one run are not fully independent of each other.
"""


def seed_numbers_page(folder: Path = EVIDENCE) -> str:
    """Return the page as Markdown, from the result files in a folder."""
    found = measurements(read_all(folder))
    by_number = [(asked, [one for one in found if one.key == asked.key]) for asked in ASKED]
    lines = [_HEAD, "## What is missed", "", *_missed(by_number)]
    lines += ["", "## All numbers", "", "| asked | from | verdict | shown by |", "|---|---|---|---|"]
    lines += [f"| {a.text} | {a.source} | {_overall(a, ones)} | `{a.command}` |" for a, ones in by_number]
    for asked, ones in by_number:
        lines += ["", *_section(asked, ones)]
    return "\n".join([*lines, "", *settings_table(), ""])


def _missed(by_number: Sequence[tuple[Asked, list[Measurement]]]) -> Iterator[str]:
    lines = [
        f"- **{asked.text}**, {one.what}: {_count(asked, one)}, `{one.source.file}`"
        + (f" ({one.figures})" if one.figures else "")
        for asked, ones in by_number
        for one in ones
        if judge(asked, one) is Verdict.MISSED
    ]
    yield from lines or ["Nothing that was measured."]
    absent = [asked.text for asked, ones in by_number if not ones]
    if absent:
        yield f"- Not measured: {', '.join(absent)}"


def _overall(asked: Asked, ones: Sequence[Measurement]) -> str:
    verdicts = [judge(asked, one) for one in ones]
    if not verdicts:
        return "not measured"
    missed = verdicts.count(Verdict.MISSED)
    if missed:
        return f"{Verdict.MISSED.value} in {missed} of {len(verdicts)}"
    return Verdict.MET.value if Verdict.MET in verdicts else Verdict.TOO_FEW.value


def _section(asked: Asked, ones: Sequence[Measurement]) -> Iterator[str]:
    yield from (f"## {asked.text[0].upper()}{asked.text[1:]}", "", f"A case is {asked.case}. `{asked.command}`", "")
    if not ones:
        yield "Not measured."
        return
    over = f"{asked.limit:g} s or longer" if asked.kind is Kind.LONGEST else "gone wrong"
    yield f"| measured | n | {over} | figures | proven at 95 % confidence | verdict | file, commit, date, machine |"
    yield "|---|---|---|---|---|---|---|"
    for one in ones:
        misses = f"{'at least ' if one.at_least else ''}{one.misses}"
        cells = (one.what, f"{one.n:,}", misses, one.figures, bound(asked, one), judge(asked, one).value, _origin(one))
        yield f"| {' | '.join(cells)} |"


def _count(asked: Asked, one: Measurement) -> str:
    what = "over the limit" if asked.kind is Kind.LONGEST else "wrong"
    return f"{'at least ' if one.at_least else ''}{one.misses} of {one.n:,} {what}"


def _origin(one: Measurement) -> str:
    source = one.source
    link = f"[`{source.file}`](../evidence/{source.file})"
    return ", ".join([link, source.commit or "commit not said", *filter(None, (source.day, source.machine))])
