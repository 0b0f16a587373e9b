"""What a run of episodes amounts to: for each scenario and in sum, with the bounds that the numbers prove."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.simulation.episodes import Judged, Scenario, Truth
from config.simulation.statistics import quantile, rate_at_least, rate_at_most

AIM_NOTICED = 0.999
AIM_FALSE = 0.001
FEWEST_OF_SCENARIO = 20
FEWEST_OF_STRATUM = 59


@dataclass(slots=True)
class Tally:
    """Episodes of one kind: how many, which were wrong, and the delays of those that were right."""

    count: int = 0
    wrong: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    def add(self, judged: Judged) -> None:
        self.count += 1
        if not judged.is_right:
            self.wrong.append(judged.number)
        elif judged.finding.delay is not None and judged.truth is Truth.FAULT:
            self.delays.append(judged.finding.delay)


@dataclass(slots=True)
class Report:
    """All tallies of a run, by scenario and truth."""

    scenarios: Sequence[Scenario]
    tallies: dict[tuple[str, Truth], Tally] = field(default_factory=dict)

    def add(self, judged: Judged) -> None:
        self.tallies.setdefault((judged.scenario.name, judged.truth), Tally()).add(judged)

    def of(self, truth: Truth, names: Iterable[str] | None = None) -> Tally:
        """Return the tally of all scenarios together, or of those named."""
        together, wanted = Tally(), None if names is None else set(names)
        for (name, what), tally in self.tallies.items():
            if what is truth and (wanted is None or name in wanted):
                together.count += tally.count
                together.wrong += tally.wrong
                together.delays += tally.delays
        return together

    @property
    def noticed_at_least(self) -> float:
        faults = self.of(Truth.FAULT)
        return rate_at_least(faults.count - len(faults.wrong), faults.count)

    @property
    def false_at_most(self) -> float:
        healthy = self.of(Truth.HEALTHY)
        return rate_at_most(len(healthy.wrong), healthy.count)

    @property
    def is_clean(self) -> bool:
        return not self.of(Truth.FAULT).wrong and not self.of(Truth.HEALTHY).wrong

    def strata(self) -> list[tuple[str, Tally, Tally]]:
        """Return for each stratum its faults and its healthy episodes, in the order of the scenarios."""
        names: dict[str, list[str]] = {}
        for scenario in self.scenarios:
            names.setdefault(scenario.stratum, []).append(scenario.name)
        return [(one, self.of(Truth.FAULT, of), self.of(Truth.HEALTHY, of)) for one, of in names.items()]

    def to_dict(self) -> dict[str, Any]:
        faults, healthy = self.of(Truth.FAULT), self.of(Truth.HEALTHY)
        return {
            "faults": faults.count,
            "missed": sorted(faults.wrong),
            "noticed_at_least": round(self.noticed_at_least, 6),
            "healthy": healthy.count,
            "false_alarms": sorted(healthy.wrong),
            "false_at_most": round(self.false_at_most, 6),
            "confidence": 0.95,
            "scenarios": [self._row(scenario) for scenario in self.scenarios],
            "strata": [
                {"stratum": name, "faults": one.count, "missed": len(one.wrong), "healthy": other.count,
                 "false_alarms": len(other.wrong),
                 "noticed_at_least": round(rate_at_least(one.count - len(one.wrong), one.count), 6)}
                for name, one, other in self.strata()
            ],
        }  # fmt: skip

    def _row(self, scenario: Scenario) -> dict[str, Any]:
        faults = self.tallies.get((scenario.name, Truth.FAULT), Tally())
        healthy = self.tallies.get((scenario.name, Truth.HEALTHY), Tally())
        delays = {
            name: None if (value := quantile(faults.delays, share)) is None else round(value, 4)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        }
        return {
            "scenario": scenario.name,
            "stratum": scenario.stratum,
            "about": scenario.about,
            "limit_seconds": scenario.limit,
            "faults": faults.count,
            "missed": len(faults.wrong),
            "noticed_at_least": round(rate_at_least(faults.count - len(faults.wrong), faults.count), 6),
            "healthy": healthy.count,
            "false_alarms": len(healthy.wrong),
            "delay_seconds": delays,
        }


def table(report: Report) -> str:
    """Return a run as a table in Markdown, with the sentence it allows."""
    lines = [
        "| scenario | stratum | faults | missed | noticed at least | healthy | false alarms "
        "| delay p50, p95, max (limit), s |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    rows = report.to_dict()["scenarios"]
    for row in rows:
        delays = [value for value in row["delay_seconds"].values() if value is not None]
        limit = "" if row["limit_seconds"] is None else f" ({row['limit_seconds']:g})"
        times = ", ".join(f"{value:.2f}" for value in delays) + limit if delays else "no clock"
        lines.append(
            f"| `{row['scenario']}` | {row['stratum']} | {row['faults']} | {row['missed']} | "
            f"{row['noticed_at_least']:.3%} | {row['healthy']} | {row['false_alarms']} | {times} |"
        )
    faults, healthy = report.of(Truth.FAULT), report.of(Truth.HEALTHY)
    lines += ["", sentence(report), ""]
    thin = [row["scenario"] for row in rows if row["faults"] < FEWEST_OF_SCENARIO]
    thin += [name for name, one, _ in report.strata() if one.count < FEWEST_OF_STRATUM]
    if thin:
        lines.append(f"Too few episodes to say anything by itself: {', '.join(thin)}.")
    for title, wrong in (("Missed", faults.wrong), ("False alarms", healthy.wrong)):
        if wrong:
            lines.append(f"{title}: {', '.join(map(str, wrong[:20]))}{' ...' if len(wrong) > 20 else ''}")
    return "\n".join(lines)


def sentence(report: Report) -> str:
    """Return what may be said, and nothing more."""
    faults, healthy = report.of(Truth.FAULT), report.of(Truth.HEALTHY)
    met = report.noticed_at_least >= AIM_NOTICED and report.false_at_most <= AIM_FALSE
    return (
        f"Of this mix of faults at least {report.noticed_at_least:.3%} are noticed "
        f"({len(faults.wrong)} of {faults.count} missed), and of healthy episodes at most "
        f"{report.false_at_most:.3%} raise an alarm ({len(healthy.wrong)} of {healthy.count}), each at 95 % "
        "confidence, in simulation under a virtual clock. It says nothing about faults that are not in the mix. "
        f"The aims (at least 99.9 %, below 0.1 %): {'met' if met else 'not met'}."
    )
