"""One family in a process of its own: ``python -m benchmarks.resilience.worker FAMILY``.

The address of Redis comes in the environment. It answers each line on standard input with one on
standard output, both JSON; what libraries print goes to standard error. First it lists its cases.
"""

import gc
import json
import os
import sys
import time
import warnings
from typing import Any, TextIO

from benchmarks.resilience.families import FAMILIES
from benchmarks.resilience.loops import Case, Loop

URL_VARIABLE = "BENCH_REDIS_URL"
_FIRST_CALLS = 20


def main() -> None:
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cases = list(FAMILIES[sys.argv[1]].cases(os.environ[URL_VARIABLE]))
    _answer(answers, [[case.section, case.subject, case.kind] for case in cases])
    loops: dict[int, tuple[Loop, int]] = {}
    for line in sys.stdin:
        number, seconds = json.loads(line)
        try:
            if number not in loops:
                loops[number] = _prepare(cases[number], seconds)
            _answer(answers, _measure(*loops[number]))
        except Exception as error:  # a library that breaks is a finding, and the next case still runs
            _answer(answers, {"error": f"{type(error).__name__}: {error}"[:300]})


def _answer(answers: TextIO, value: Any) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _prepare(case: Case, seconds: float) -> tuple[Loop, int]:
    """Return the loop of a case and how many calls fill ``seconds``."""
    loop = case.prepare()
    loop(_FIRST_CALLS)
    began = time.perf_counter()
    loop(_FIRST_CALLS)
    each = (time.perf_counter() - began) / _FIRST_CALLS
    more = max(_FIRST_CALLS, int(seconds / 10 / each))
    began = time.perf_counter()
    loop(more)
    each = (time.perf_counter() - began) / more
    return loop, max(_FIRST_CALLS, int(seconds / each))


def _measure(loop: Loop, calls: int) -> dict[str, float]:
    """Return nanoseconds per call by the clock, of this thread's CPU, and of the CPU of all threads."""
    gc.collect()
    wall, thread, process = time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()
    loop(calls)
    process_ns, thread_ns = time.process_time_ns() - process, time.thread_time_ns() - thread
    wall_ns = time.perf_counter_ns() - wall
    return {"calls": calls, "wall": wall_ns / calls, "cpu": thread_ns / calls, "process_cpu": process_ns / calls}


if __name__ == "__main__":
    main()
