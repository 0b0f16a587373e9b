"""A run: a stack of its own, the scenarios one after the other on it, and what they showed."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from config.chaos import sabotage
from config.chaos.checker import Finding
from config.chaos.collect import settings_in_force
from config.chaos.episode import Episode, Outcome, run_episode
from config.chaos.faults.certificates import trusted_authority
from config.chaos.faults.registry import why_not
from config.chaos.noise import noise_probe
from config.chaos.scenario import Scenario
from config.chaos.stack import Stack, running_stack
from config.stack.detours import VARIABLE
from config.stack.running import ROOT

Say = Callable[[str], object]
PROXIED = {VARIABLE: "1", "STANCHION_LOG_LEVEL": "WARNING"}


@contextmanager
def chaos_stack() -> Iterator[Stack]:
    """A stack of its own whose ways to servers and brokers lead through the fault proxy."""
    with trusted_authority() as trust, running_stack({**PROXIED, **trust}) as stack:
        yield stack


@contextmanager
def breakable_stack(environment: Mapping[str, str]) -> Iterator[Stack]:
    """A stack with protections that can be taken away, a short lease and a short settle time."""
    with TemporaryDirectory(prefix="stanchion-sabotage-") as folder:
        own = {
            "DJANGO_SETTINGS_MODULE": "config.chaos.sabotage_settings",
            sabotage.VARIABLE: folder,
            "STANCHION_JOB_LEASE_SECONDS": "3",
            "STANCHION_SETTLE_SECONDS": "1",
        }
        with running_stack({**environment, **own}) as stack:
            stack.sabotage = Path(folder)
            yield stack


@contextmanager
def breakable_chaos_stack() -> Iterator[Stack]:
    """The same, behind the fault proxy."""
    with trusted_authority() as trust, breakable_stack({**PROXIED, **trust}) as stack:
        yield stack


def run_all(
    pairs: Sequence[tuple[Scenario, int]], say: Say, go_on: Callable[[], bool] = lambda: True
) -> Iterator[Episode]:
    """Yield an episode per scenario and seed, on one stack; a stack that a fault could not be healed on is replaced."""
    left = list(pairs)
    while left and go_on():
        with chaos_stack() as stack, noise_probe(stack.instance.directory / "noise") as noise:
            say(f"a stack of its own in {stack.instance.directory}: {settings_in_force(stack)}")
            while left and go_on():
                scenario, seed = left.pop(0)
                episode = run_one(stack, scenario, seed, noise, say)
                if not left or not go_on() or episode.outcome is Outcome.VOID:
                    add_broken_history(stack, episode, say)
                yield episode
                if episode.outcome is Outcome.VOID:
                    break


def add_broken_history(stack: Stack, episode: Episode, say: Say) -> None:
    """Verify the seals of everything that was recorded on this stack; a broken one fails the last episode (I9)."""
    argv = [sys.executable, "manage.py", "audit", "verify", "--quiet"]
    done = subprocess.run(argv, cwd=ROOT, env=stack.instance.environment, capture_output=True, text=True)
    say("the recorded history is as it was sealed" if not done.returncode else f"audit verify: {done.stderr.strip()}")
    if done.returncode:
        episode.findings.append(Finding("I9", f"the recorded history is broken: {done.stderr.strip()[-300:]}"))
        episode.outcome = Outcome.FAILED if episode.outcome is Outcome.PASSED else episode.outcome


def run_one(stack: Stack, scenario: Scenario, seed: int, noise: Path, say: Say, *, sabotaged: bool = False) -> Episode:
    """Run one episode, or say why it cannot be run here."""
    reason = why_not(scenario, stack)
    if not reason and sabotaged and scenario.sabotage is None:
        reason = "has no sabotage switch"
    if reason:
        say(f"{scenario.name}: not run: {reason}")
        return Episode(scenario, seed, Outcome.NOT_RUN, sabotaged, reason)
    say(f"{scenario.number} {scenario.name}, seed {seed}: {scenario.title}")
    began = time.monotonic()

    def said(text: str) -> None:
        say(f"  {time.monotonic() - began:6.1f} s  {text}")

    episode = run_episode(stack, scenario, seed, noise, say=said, sabotaged=sabotaged)
    said(f"{episode.outcome} {episode.reason}".strip())
    for finding in episode.findings[:20]:
        said(f"{finding}{' (time only)' if finding.is_timing else ''}")
    return episode


def run_sabotaged(scenarios: Sequence[Scenario], seed: int, say: Say) -> Iterator[Episode]:
    """Yield an episode per scenario with its protection taken away, each on a stack of its own."""
    for scenario in scenarios:
        if scenario.sabotage is None or scenario.not_run:
            yield Episode(scenario, seed, Outcome.NOT_RUN, True, scenario.not_run or "has no sabotage switch")
            continue
        with breakable_chaos_stack() as stack, noise_probe(stack.instance.directory / "noise") as noise:
            yield run_one(stack, scenario, seed, noise, say, sabotaged=True)


def is_red(episode: Episode) -> bool:
    """Tell whether a sabotaged episode failed in the way that its file says it must."""
    assert episode.scenario.sabotage is not None
    return any(finding.invariant in episode.scenario.sabotage.harm for finding in episode.findings)
