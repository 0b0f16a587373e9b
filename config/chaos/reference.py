"""The reference page of the chaos scenarios, from their files."""

from config.chaos.faults.registry import KINDS
from config.chaos.scenario import CHECKER, FaultPlan, Scenario, read_all

_HEAD = """# Chaos scenarios

Generated from `config/chaos/scenarios/` by `manage.py write_reference`. `make chaos ARGS="run NAME"` runs one; how they
are judged is [explained](../explanation/chaos.md). "ci" marks the short run that the tests do. Times count from the
first order.

A red sabotage shows that the **protection** it takes away is what keeps the scenario green. **Checker only**: it does
its harm whether or not the scenario's own faults happen, so it shows that the checker sees such harm, not what keeps it
away.
"""
_TITLES = "| # | name | what is broken | must not be broken | sabotage that turns it red | which shows | run |"


def scenario_page() -> str:
    """Return the page as Markdown."""
    scenarios = read_all()
    lines = [_HEAD, _TITLES]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [_row(one) for one in scenarios]
    lines += ["", "## Each in detail", *(_detail(one) for one in scenarios)]
    lines += ["", "## Faults", "", "| kind | what it does | needs |", "|---|---|---|"]
    lines += [f"| `{name}` | {_first_line(kind.__doc__)} | {kind.needs} |" for name, kind in sorted(KINDS.items())]
    return "\n".join(lines) + "\n"


def _row(one: Scenario) -> str:
    run = "not run" if one.not_run else "ci" if one.in_ci else ""
    cells = (str(one.number), f"`{one.name}`", one.title, " ".join(one.sharp), _sabotage(one), _shows(one), run)
    return f"| {' | '.join(cells)} |"


def _shows(one: Scenario) -> str:
    if one.sabotage is None:
        return ""
    return "checker only" if one.sabotage.shows == CHECKER else "protection"


def _sabotage(one: Scenario) -> str:
    if one.sabotage is None:
        return ""
    taken = [f"`{name}`" for name in one.sabotage.protections]
    taken += [f"`{one.sabotage.statement.split(',')[0]}`"] if one.sabotage.statement else []
    taken += [f"circuit `{name}` disabled" for name in one.sabotage.disabled]
    taken += [f"with {plan.kind} {_what(plan)}".strip() for plan in one.sabotage.faults]
    return f"{', '.join(taken)}: {' or '.join(one.sabotage.harm)}"


def _detail(one: Scenario) -> str:
    lines = [f"\n### {one.number}. {one.title}\n", one.expected]
    if one.not_run:
        return "\n".join([*lines, f"\nNot run: {one.not_run}."])
    load = one.load
    times = f", each sent {load.times} times at once" if load.times > 1 else ""
    lines.append(f"\n{load.orders} orders ({load.draw}), {load.rate:g} a second{times}.\n")
    lines += [f"- {_fault(plan)}" for plan in one.faults]
    if one.expect:
        lines.append(f"\nBeyond the invariants: {', '.join(f'`{sentence}`' for sentence in one.expect)}.")
    return "\n".join(lines)


def _fault(plan: FaultPlan) -> str:
    lasts = f" for {_range(plan.seconds)}" if plan.seconds else ""
    seen = f"; noticed by `{plan.detect}`" if plan.detect else ""
    return f"at {_range(plan.at)}{lasts}: `{plan.kind}` {plan.target} {_what(plan)}".rstrip() + seen


def _what(plan: FaultPlan) -> str:
    return " ".join(f"{name}={value}" for name, value in plan.options.items())


def _range(span: tuple[float, float]) -> str:
    return f"{span[0]:g} s" if span[0] == span[1] else f"{span[0]:g} to {span[1]:g} s"


def _first_line(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())
