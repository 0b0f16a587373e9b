"""What each kind of result file says about the numbers asked for.

A file is known by what is in it, not by its name, so a new one of a known kind is followed; one that says nothing about
them yields nothing. Shapes are those that the commands write: see ``benchmarks/evidence.py`` and ``config/chaos``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from config.chaos.statistics import percentile, shown
from config.seed_numbers.asked import BY_KEY
from config.seed_numbers.measurement import Measurement, Source

Content = Any
_WINDOW_SECONDS = 10.0
_BROKERS = 2
_CONTROL = "control"
_HARM_OF_NOTHING = ("I6", "I12")
_ACCEPTANCE_SKIPPED = ("teeth", "healed: teeth")


def read(content: Content, source: Source) -> list[Measurement]:
    """Return what a file says; nothing for a file of another kind."""
    if content.get("benchmark") == "acceptance":
        return list(_acceptance(content["results"], content["parameters"]["messages"], source))
    if "benchmark" in content:
        reader = _BENCHMARKS.get(content["benchmark"])
        return list(reader(content["results"], source)) if reader else []
    for mark, reader in _BY_FIELD.items():
        if mark in content:
            return list(reader(content, source))
    return []


def times(key: str, what: str, values: Sequence[float | None], source: Source) -> Iterator[Measurement]:
    """A measurement of seconds; None is a time that never came, and over every limit."""
    if values:
        longest = [float("inf") if one is None else one for one in values]
        limit = BY_KEY[key].limit
        p50, p95 = percentile(longest, 0.5), percentile(longest, 0.95)
        figures = f"p50 {shown(p50)}, p95 {shown(p95)}, max {shown(max(longest))} s"
        yield Measurement(key, what, len(longest), sum(one >= limit for one in longest), source, figures)


def _chaos(content: Content, source: Source) -> Iterator[Measurement]:
    """``chaos campaign``, and the report of ``chaos run``: real processes."""
    sums = content["totals"]
    for line in content["times"]:
        figures = ", ".join(
            f"{name} {shown(float('inf') if value is None else value)}"
            for name, value in (("p50", line["p50"]), ("p95", line["p95"]), ("max", line["most"]))
        )
        late = f"; {line['invalid']} while the machine itself was late" if line["invalid"] else ""
        yield Measurement(line["name"], "chaos episodes", line["n"], line["over"], source, f"{figures} s{late}")
    if sums["detectable"]:
        yield Measurement("noticed", "real processes", sums["detectable"], max(0, sums["undetected"]), source)
    if sums["recoverable"]:
        yield Measurement("automatic", "chaos episodes", sums["recoverable"], sums["unrecovered"], source)
    if sums["orders"]:
        faults = f"{sums['faults']} faults in {sums['episodes']} episodes"
        unclear = sums["lost"] + sums["unknown"] + sums["differing"]
        yield Measurement("lost", "chaos episodes", sums["orders"], unclear, source, faults)
        yield Measurement("doubled", "chaos episodes", sums["orders"], sums["doubled"], source, faults)
    if "load" in content:
        yield _load(content["load"], sums, source)
    yield from _healthy_windows(content["episodes"], source)


def _load(load: Mapping[str, Any], sums: Mapping[str, int], source: Source) -> Measurement:
    drained = (
        "never drained" if load["drain_seconds"] is None else f"drained in {shown(load['drain_seconds'])} s at most"
    )
    figures = (
        f"{load['accepted_rate']:.1f} accepted a second, {load['slowest_window_rate']:.1f} in the slowest 10 s; "
        f"acknowledged p95 {shown(load['acknowledged_p95'])}, max {shown(load['acknowledged_max'])} s; "
        f"{load['largest_backlog']} waiting at most, {drained}"
    )
    wrong = sum(sums[name] for name in ("lost", "doubled", "unknown", "differing"))
    what = f"{load['asked_rate']:g} orders/s for {load['minutes']:g} minutes, {sums['faults']} faults"
    return Measurement("load", what, sums["orders"], wrong, source, figures)


def _healthy_windows(episodes: Sequence[Mapping[str, Any]], source: Source) -> Iterator[Measurement]:
    """The scenario in which nothing is broken: one verdict a broker and ten seconds."""
    healthy = [one for one in episodes if one["scenario"] == _CONTROL and one["outcome"] in ("passed", "failed")]
    windows = sum(int(one["seconds"] // _WINDOW_SECONDS) * _BROKERS for one in healthy)
    if windows:
        wrong = sum(text.startswith(_HARM_OF_NOTHING) for one in healthy for text in one["findings"])
        yield Measurement("false_alarms", "healthy windows, real processes", windows, wrong, source)


def _simulation(content: Content, source: Source) -> Iterator[Measurement]:
    yield Measurement("noticed", "simulated", content["faults"], len(content["missed"]), source)
    yield Measurement("false_alarms", "simulated", content["healthy"], len(content["false_alarms"]), source)
    for one in content["scenarios"]:
        longest = one["delay_seconds"]["max"]
        if one["limit_seconds"] != BY_KEY["detection"].limit or longest is None:
            continue
        figures = f"p50 {shown(one['delay_seconds']['p50'])}, p95 {shown(one['delay_seconds']['p95'])}"
        over = one["missed"] + (longest >= BY_KEY["detection"].limit)
        yield Measurement(
            "detection",
            f"simulated, `{one['scenario']}`",
            one["faults"],
            over,
            source,
            f"{figures}, max {shown(longest)} s",
            at_least=over > 0,
        )


def _sabotage(content: Content, source: Source) -> Iterator[Measurement]:
    run = [one for one in content["sabotaged"] if one["verdict"] != "not run"]
    green = [one["scenario"] for one in run if one["verdict"] == "green"]
    skipped = len(content["sabotaged"]) - len(run)
    figures = ", ".join([*(f"`{name}` stayed green" for name in green), *([f"{skipped} not run"] if skipped else [])])
    if run:
        yield Measurement("sabotage", "chaos scenarios", len(run), len(green), source, figures)


def _acceptance(rows: Sequence[Mapping[str, Any]], carrier: str, source: Source) -> Iterator[Measurement]:
    """Trials of the acceptance tests, messages in ``carrier``; those that took a protection away are left out."""
    counted = [one for one in rows if not one["scenario"].startswith(_ACCEPTANCE_SKIPPED)]
    orders, what = sum(one["orders"] for one in counted), f"{len(counted)} acceptance trials on {carrier}"
    if orders:
        wrong = sum(one["lost"] + one["unknown"] + one["differing"] for one in counted)
        yield Measurement("lost", what, orders, wrong, source)
        yield Measurement("doubled", what, orders, sum(one["doubled"] for one in counted), source)
    dead = [seconds for one in counted for seconds in one["detection_seconds"]]
    yield from times("detection", f"a killed process, acceptance trials on {carrier}", dead, source)
    broken = [one["healthy_seconds"] for one in counted if one["strikes"]]
    yield from times("recovery", f"acceptance trials on {carrier}, from the last strike on", broken, source)


def _breaker_probes(results: Sequence[Mapping[str, Any]], source: Source) -> Iterator[Measurement]:
    """Openings as another process sees them; milliseconds, of which the file keeps three quantiles."""
    for one in results:
        if one["subject"] != "stanchion" or one["probe"] not in ("spread", "spread_busy"):
            continue
        what = "calls that take time" if one["probe"] == "spread" else "calls in a closed loop, as fast as it goes"
        over = one["never"] or int(one["max"] / 1000 >= BY_KEY["reaction"].limit)
        figures = ", ".join(f"{name} {shown(one[name] / 1000)}" for name in ("p50", "p99", "max"))
        load = f"at load {one['load']}"
        yield Measurement("reaction", f"{what}, {load}", one["trials"], over, source, f"{figures} s", at_least=over > 0)


def _failover(results: Sequence[Mapping[str, Any]], source: Source) -> Iterator[Measurement]:
    for key, what, name in (
        ("failover", "switches between accounts", "failure"),
        ("failover", "first address of a broker lost", "address"),
    ):
        yield from times(key, what, [one["seconds"] for one in results if name in one and "seconds" in one], source)
    taken = [one["taken_over"] for one in results if "taken_over" in one]
    yield from times("failover", "stream process killed", taken, source)
    noticed = [one["noticed"] for one in results if "noticed" in one]
    yield from times("detection", "order stream silent, mute or cut", noticed, source)


def _incidents(results: Sequence[Mapping[str, Any]], source: Source) -> Iterator[Measurement]:
    limit = BY_KEY["detection"].limit
    for one in results:
        for fault, figures in one["detection_seconds"].items():
            if figures["aim"] != limit:
                continue  # told within a minute's evaluation, by design
            text = f"p50 {shown(figures['p50'])}, p95 {shown(figures['p95'])}, max {shown(figures['longest'])} s"
            over = figures["faults"] - figures["up to"][f"{limit:g}"]
            yield Measurement("detection", f"{fault}, until it is an alert", figures["faults"], over, source, text)


def _recovery(results: Sequence[Mapping[str, Any]], source: Source) -> Iterator[Measurement]:
    for one in results:
        yield from times("recovery", f"{one['fault']}, under load", one["seconds"], source)
    tries, failed = (sum(one[name] for one in results) for name in ("rounds", "not_recovered"))
    if tries:
        yield Measurement("automatic", "recoveries under load", tries, failed, source)


def _reconcile(results: Sequence[Mapping[str, Any]], source: Source) -> Iterator[Measurement]:
    for one in results:
        if one["contender"] in ("full", "incremental"):
            what = f"{one['contender']} run, {one['open']:,} open and {one['history']:,} finished orders"
            busy = f", other programs using {one['others_share']:.0%} of the cores"
            yield from times("reconciliation", what + busy, one["all_seconds"], source)


def _loss(results: Sequence[Mapping[str, Any]], source: Source) -> Iterator[Measurement]:
    ours = [one for one in results if one["name"] == "Stanchion"]
    orders, kills = (sum(one["told_accepted"] for one in ours), sum(sum(one["kills"].values()) for one in ours))
    if orders:
        lost = sum(one["lost"] for one in ours)
        yield Measurement("lost", "servers and workers killed", orders, lost, source, f"{kills} kills")
        doubled = sum(one["doubled"] for one in ours)
        yield Measurement("doubled", "servers and workers killed", orders, doubled, source, f"{kills} kills")


def _races(results: Sequence[Mapping[str, Any]], source: Source) -> Iterator[Measurement]:
    sums = results[0]
    yield Measurement("lost", "changes racing with fills, replies lost", sums["orders"], sums["mismatches"], source)
    yield Measurement("doubled", "changes racing with fills, replies lost", sums["orders"], sums["doubled"], source)


_BENCHMARKS: dict[str, Callable[[Sequence[Mapping[str, Any]], Source], Iterator[Measurement]]] = {
    "breaker-probes": _breaker_probes,
    "failover": _failover,
    "incidents": _incidents,
    "recovery": _recovery,
    "reconcile": _reconcile,
    "loss": _loss,
    "order-races": _races,
}
_BY_FIELD: dict[str, Callable[[Content, Source], Iterator[Measurement]]] = {
    "sabotaged": _sabotage,
    "totals": _chaos,
    "false_alarms": _simulation,
}
