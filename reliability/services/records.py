"""What every process writes down and follows by itself: circuits' changes, guesses, and rules people made."""

import sys

from reliability.services import circuits, classification
from reliability.services.background import background
from reliability.services.circuit_records import load_truth
from reliability.services.error_guesses import counter
from reliability.services.error_recorder import errors
from reliability.services.error_rules import follower
from reliability.services.failed_requests import connect_failed_pages
from reliability.services.guarding.outcomes import on_outcome, on_trouble
from reliability.services.jobs.recall import recaller
from reliability.services.measures import note_call, note_transition
from reliability.services.metering import meter
from reliability.services.service_levels import note_service_call
from reliability.services.transition_records import recorder

SWITCH_INTERVAL_SECONDS = 0.001

_note_transition = recorder.note  # one object, so that it can be found again
_call_back = recaller.hear


def connect_records() -> None:
    """Have transitions and guesses of this process recorded, and settings loaded; starts nothing."""
    circuits.set_loader(load_truth)
    circuits.on_transition(_note_transition)
    circuits.on_transition(note_transition)
    classification.on_guess(counter.note)
    on_outcome(note_call)
    on_outcome(note_service_call)
    on_trouble(errors.note_call)
    connect_failed_pages()
    for duty in (recorder.write, errors.write, counter.write, follower.refresh, meter.write):
        background.add(duty)


def follow_records() -> None:
    """Use the rules people made from now on, refreshed every second; call it after any fork."""
    keep_threads_prompt()
    background.start()


def keep_threads_prompt() -> None:
    """Let threads that hear news have the interpreter within a millisecond: a busy thread keeps it for five otherwise.

    An opening of a circuit that another process told of costs its listener two or three such waits.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)


def hear_everything() -> None:
    """Act on the transitions of all processes: record those that a process which died did not, call jobs back."""
    circuits.remove_hook(_note_transition)
    circuits.on_transition(_note_transition, heard=True)
    circuits.on_transition(_call_back, heard=True)
    background.add(recaller.call)
