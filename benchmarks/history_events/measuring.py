"""How long rate and burn queries, the recording of an error and the end of a day take over that history."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.history_events.history import CATEGORIES, SOURCES

AIMS = {"query_milliseconds": 100, "drop_seconds": 1.0, "record_milliseconds": 1.0}
_RATE = """
SELECT source, category, sum(errors) FROM reliability_errorrollup
WHERE minute >= now() - make_interval(mins => %s) GROUP BY source, category
"""
_EVENTS_OF_HOUR = """
SELECT category, count(*) FROM reliability_errorevent
WHERE recorded_at >= now() - interval '1 hour' GROUP BY category
"""


def measure_queries(rounds: int) -> dict[str, Any]:
    """Return median and 95th percentile of each question, in milliseconds."""
    from django.db import connection

    from reliability.selectors.error_groups import errors_by_hour
    from reliability.services.measures import read_service_levels
    from reliability.services.service_level_alerts import evaluate
    from reliability.services.service_levels import budget_line, list_states

    def rate(minutes: int) -> Callable[[], object]:
        def ask() -> object:
            with connection.cursor() as cursor:
                cursor.execute(_RATE, [minutes])
                return cursor.fetchall()

        return ask

    def events_of_an_hour() -> object:
        with connection.cursor() as cursor:
            cursor.execute(_EVENTS_OF_HOUR)
            return cursor.fetchall()

    states = list_states()
    questions: dict[str, Callable[[], object]] = {
        "rate of 5 minutes by source and category": rate(5),
        "rate of an hour by source and category": rate(60),
        "rate of a day by source and category": rate(1440),
        "errors of a day by hour, category and code, as the operator screen asks": lambda: errors_by_hour(
            datetime.now(UTC) - timedelta(days=1)
        ),
        "events of an hour by category, from the events themselves": events_of_an_hour,
        f"burn rates of {len(states)} services in all windows": list_states,
        "evaluating all burn and rate alerts": evaluate,
        "burn and budget metrics of a scrape": read_service_levels,
        "burn-down of one service over 30 days": lambda: budget_line(states[0]),
    }
    return {name: _timed(question, rounds) for name, question in questions.items()}


def measure_recording(errors: int) -> dict[str, Any]:
    """Return what one error costs: taking it where it was met, and writing it with others or alone."""
    from reliability.core.fingerprint import ErrorFacts
    from reliability.core.taxonomy import ErrorCategory, ErrorSeverity
    from reliability.services.error_recorder import ErrorRecorder

    def fact(number: int) -> ErrorFacts:
        return ErrorFacts(
            f"sim-{number % SOURCES}",
            "submit",
            f"CODE_{number % 40}",
            ErrorCategory(CATEGORIES[number % 6]),
            ErrorSeverity.HIGH,
            kind="TimeoutError",
            message=f"timed out after {number} ms",
            correlation_id=f"c{number}",
        )

    facts = [fact(number) for number in range(errors)]
    recorder = ErrorRecorder()
    began, used = time.perf_counter(), time.process_time()
    for one in facts:
        recorder.note(one)
    noted, noted_cpu = time.perf_counter() - began, time.process_time() - used
    began, used = time.perf_counter(), time.process_time()
    recorder.write()
    written, written_cpu = time.perf_counter() - began, time.process_time() - used
    began = time.perf_counter()
    single = ErrorRecorder()
    singles = min(errors, 200)
    for one in facts[:singles]:
        single.note(one)
        single.write()
    alone = (time.perf_counter() - began) / singles
    return {
        "errors": errors,
        "take_milliseconds": round(1000 * noted / errors, 4),
        "take_cpu_milliseconds": round(1000 * noted_cpu / errors, 4),
        "write_milliseconds_each_together": round(1000 * written / errors, 4),
        "write_cpu_milliseconds_each_together": round(1000 * written_cpu / errors, 4),
        "take_and_write_milliseconds_one_at_a_time": round(1000 * alone, 3),
    }


def measure_days(days: int) -> dict[str, Any]:
    """Let three days go by policy, the oldest ones: exported, checked and dropped; and three more without an export."""
    from reliability.models import RetentionDrop
    from reliability.services.retention.policies import set_policy
    from reliability.services.retention.upkeep import run_upkeep

    answer: dict[str, Any] = {}
    now = datetime.now(UTC)
    for name, keep, exported in (("exported first", days - 3, True), ("without an export", days - 6, False)):
        set_policy("errors", keep_days=max(1, keep), is_exported=exported, actor="bench")
        before = RetentionDrop.objects.filter(kind="errors").count()
        began = time.monotonic()
        (report,) = [one for one in run_upkeep(actor="bench", now=now, seconds=600) if one.kind == "errors"]
        whole = time.monotonic() - began
        if report.error:
            raise SystemExit(f"upkeep failed: {report.error}")
        drops = list(RetentionDrop.objects.filter(kind="errors").order_by("id")[before:])
        answer[name] = {
            "days": len(drops),
            "rows": sum(one.rows for one in drops),
            "longest_drop_seconds": round(max((one.seconds for one in drops), default=0.0), 3),
            "whole_seconds_a_day": round(whole / max(1, len(drops)), 3),
        }
    return answer


def _timed(question: Callable[[], object], rounds: int) -> dict[str, float]:
    question()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        question()
        taken.append(time.perf_counter() - began)
    taken.sort()
    p95 = taken[min(rounds - 1, int(0.95 * rounds))]
    return {"median_milliseconds": round(1000 * taken[rounds // 2], 2), "p95_milliseconds": round(1000 * p95, 2)}


def missed(result: dict[str, Any]) -> list[str]:
    """Return the aims that this result misses, each as a line."""
    lines = [
        f"{name}: median {one['median_milliseconds']} ms, aim {AIMS['query_milliseconds']}"
        for name, one in result["queries"].items()
        if one["median_milliseconds"] >= AIMS["query_milliseconds"]
    ]
    for name, one in result["days"].items():
        if one["longest_drop_seconds"] >= AIMS["drop_seconds"]:
            lines.append(f"a day dropped, {name}: {one['longest_drop_seconds']} s, aim {AIMS['drop_seconds']}")
    recording = result["recording"]
    each = recording["take_milliseconds"] + recording["write_milliseconds_each_together"]
    if each >= AIMS["record_milliseconds"]:
        lines.append(f"recording an error: {each:.3f} ms, aim {AIMS['record_milliseconds']}")
    return lines
