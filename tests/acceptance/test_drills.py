"""A recovery drill on the whole running stack, asked for on the command line as an operator does."""

import subprocess
import sys

from config.chaos.stack import Stack
from config.stack.running import ROOT


def drill(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "manage.py", "drill", *words]
    return subprocess.run(argv, cwd=ROOT, env=stack.instance.environment, capture_output=True, text=True)


def test_a_drill_cuts_real_streams_and_its_verdict_is_an_incident_of_its_own_kind_and_a_trend(stack: Stack) -> None:
    before = stack.query("SELECT coalesce(max(id), 0) FROM reliability_incident")[0][0]
    done = drill(stack, "run", "sim-a")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed: The recovery recovered" in done.stdout
    ((state, seconds),) = stack.query("SELECT state, seconds FROM reconciliation_drill ORDER BY id DESC LIMIT 1")
    assert (state, seconds is not None) == ("passed", True)
    told = stack.query("SELECT kind, state FROM reliability_incident WHERE id > %s AND kind = 'drill'", [before])
    assert told == [("drill", "resolved")] or told == [("drill", "closed")]
    assert "of the last" in drill(stack, "list").stdout
