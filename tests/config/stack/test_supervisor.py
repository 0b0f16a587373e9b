"""The supervisor over stand-in processes."""

import os
import signal
import time
from pathlib import Path

import pytest

from config.stack.control import ControlError
from config.stack.supervised import FIRST_DELAY_SECONDS
from tests.config.stack.conftest import StandIns, is_alive, start_stand_ins, wait_for


def test_a_killed_child_comes_back_at_once(stand_ins):
    before = stand_ins.control.process("family")

    os.kill(before["pid"], signal.SIGKILL)
    after = stand_ins.control.wait("family", lambda entry: entry["ready"] and entry["pid"] != before["pid"])

    assert after["restarts"] == before["restarts"] + 1
    assert FIRST_DELAY_SECONDS < 0.5, "within a second, where the machine is not busy"


def test_the_children_of_a_killed_child_end_before_it_returns(stand_ins):
    log = stand_ins.control.directory / "logs" / "family.log"
    grandchild = int(log.read_text().split()[1])
    pid = stand_ins.control.process("family")["pid"]
    assert is_alive(grandchild)

    stand_ins.control.kill("family")
    stand_ins.control.wait("family", lambda entry: entry["ready"] and entry["pid"] != pid)

    assert not is_alive(grandchild)


def test_processes_start_after_those_they_need(stand_ins):
    assert (stand_ins.control.directory / "order").read_text() == "prepare family late "


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_end_leaves_nothing_behind(stand_ins, number):
    family = stand_ins.family()
    assert len(family) >= 6

    stand_ins.process.send_signal(number)
    stand_ins.process.wait(60)

    assert stand_ins.process.returncode == 0
    assert not [pid for pid in family if is_alive(pid)]
    assert stand_ins.control.state()["status"] == "stopped"


def test_a_killed_supervisor_leaves_nothing_behind(stand_ins):
    family = stand_ins.family()

    stand_ins.process.kill()

    wait_for(lambda: not [pid for pid in family if is_alive(pid)])


def test_a_stopped_process_stays_stopped_until_started(stand_ins):
    stand_ins.control.stop("family")
    time.sleep(0.3)
    assert stand_ins.control.process("family")["state"] == "stopped"

    stand_ins.control.start("family")

    assert stand_ins.control.process("family")["ready"]


def test_a_process_that_ignores_the_signal_is_killed_after_its_time(stand_ins):
    pid = stand_ins.control.process("stubborn")["pid"]

    stand_ins.control.restart("stubborn")

    assert not is_alive(pid)
    assert stand_ins.control.process("stubborn")["ready"]


def test_a_crash_loop_is_slowed_down_and_given_up_at_the_start_with_its_last_words(tmp_path: Path):
    process = start_stand_ins(tmp_path, "broken")
    output, _ = process.communicate(timeout=90)

    assert process.returncode != 0
    assert "crashing did not come up" in output
    assert "cannot open the moon" in output


@pytest.mark.parametrize(
    "command",
    [
        {"do": "dance", "name": "family"},
        {"do": "stop", "name": "nobody"},
        {"do": "stop", "name": "family", "signal": "SIGNOTHING"},
        {"do": "wipe", "name": "family"},
        {"name": "family"},
    ],
)
def test_a_wrong_command_is_refused_and_changes_nothing(stand_ins: StandIns, command: dict[str, str]):
    before = stand_ins.control.process("family")

    with pytest.raises(ControlError):
        stand_ins.control.send(**command)

    assert stand_ins.control.process("family") == before
