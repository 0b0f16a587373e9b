"""Protections taken away, one by one, in the processes of a running stack.

Loaded by ``config.chaos.sabotage_settings`` only. A protection is off while a file of its
name exists in the directory that STANCHION_SABOTAGE names, so that a test can take it away and
give it back while everything runs.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from django.apps import AppConfig

VARIABLE = "STANCHION_SABOTAGE"
POISON_KIND = "tests.poison"
_F = TypeVar("_F", bound=Callable[..., Any])


class Protection(StrEnum):
    """What can be taken away; ``HOLD_CALLS`` stalls claimed calls before they begin."""

    LOOK_UP = "look_up_before_resending"
    RESCUE = "rescue_of_lost_jobs"
    SECOND_LOOK = "second_look_for_due_jobs"
    LEASE = "lease_check_before_a_call"
    FENCE = "fence_check_before_writing"
    FILLS = "each_fill_once"
    KEY = "idempotency_key"
    POLL = "poll_beside_the_stream"
    NAMED_WAITS = "named_waits"
    ROUTES = "routes"
    SILENCE = "silence_timer"
    DEATHS = "notice_of_dead_processes"
    DEAD_MESSAGES = "dead_letters_of_messages"
    CERTIFICATES = "certificate_checks"
    BAR_RULES = "rules_of_scale_for_bars"
    HOLD_CALLS = "hold_calls"


def is_off(protection: Protection) -> bool:
    return (Path(os.environ[VARIABLE]) / protection).exists()


def instead(owner: Any, name: str, protection: Protection) -> Callable[[_F], _F]:
    """Put a function in the place of ``owner.name``, to be called with the original one while the protection is off."""
    original = getattr(owner, name)

    def decorate(saboteur: _F) -> _F:
        def chosen(*args: Any, **kwargs: Any) -> Any:
            if is_off(protection):
                return saboteur(original, *args, **kwargs)
            return original(*args, **kwargs)

        setattr(owner, name, chosen)
        return saboteur

    return decorate


class SabotageConfig(AppConfig):
    name = "config.chaos"
    label = "sabotage"

    def ready(self) -> None:
        _register_poison()
        _sabotage_orders()
        _sabotage_jobs()
        _sabotage_fills()
        _sabotage_brokers()
        _sabotage_messages()
        _sabotage_bars()
        _keep_from_mending()


def _register_poison() -> None:
    from reliability.services.jobs.kinds import ClaimedJob, Done, JobKind, Performed, register

    class PoisonJob(JobKind):
        """Kills the process that performs it."""

        name: ClassVar[str] = POISON_KIND
        lane: ClassVar[str] = "orders"

        def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Any]:
            return {job.id: "poison" for job in jobs}

        async def perform(self, request: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Any]:
            return {outcome.job.id: Done() for outcome in outcomes}

    register(PoisonJob())


def _sabotage_orders() -> None:
    from brokers.core.orders import OrderState
    from brokers.services import submission, submit_job, synchronization
    from brokers.services.accounts import get_profile

    @instead(submit_job.SubmitOrderJob, "_prepare_one", Protection.LOOK_UP)
    def resend_blindly(original: Any, kind: Any, batch: Any, row: Any, job: Any, gate: Any) -> Any:
        if row.state == OrderState.UNKNOWN:
            return kind._send(batch, row, get_profile(row.account_id), job)
        return original(kind, batch, row, job, gate)

    @instead(submission, "_check", Protection.KEY)
    def take_each_request_as_new(original: Any, owner_id: int, wanted: Any, *rest: Any) -> Any:
        return original(owner_id, replace(wanted, idempotency_key=f"{wanted.idempotency_key}-{uuid4().hex}"), *rest)

    @instead(synchronization, "enqueue_jobs", Protection.POLL)
    def never_ask_the_broker(original: Any, kind: str, jobs: Sequence[Any], **options: Any) -> int:
        return 0


def _sabotage_jobs() -> None:
    from reliability.services import sentinel
    from reliability.services.jobs import event_loop, execution, runner

    @instead(sentinel, "rescue_lost_jobs", Protection.RESCUE)
    def rescue_nothing(original: Any, **options: Any) -> list[Any]:
        return []

    @instead(sentinel, "end_dead_processes", Protection.DEATHS)
    def bury_nobody(original: Any, **options: Any) -> list[Any]:
        return []

    @instead(sentinel, "find_due_lanes", Protection.SECOND_LOOK)
    def nudge_nothing(original: Any) -> list[str]:
        return []

    @instead(runner, "find_due", Protection.SECOND_LOOK)
    def wait_for_nudges(original: Any, lanes: Sequence[str]) -> set[str]:
        return set()

    @instead(execution, "lock_current", Protection.FENCE)
    def hold_every_fence(original: Any, jobs: Iterable[Any]) -> set[tuple[int, int]]:
        return {job.claim for job in jobs}

    outcome = event_loop.CallLoop._outcome

    async def stalled(loop: Any, call: Any) -> Any:
        while is_off(Protection.HOLD_CALLS):  # noqa: ASYNC110  another process decides
            await asyncio.sleep(0.01)
        if is_off(Protection.LEASE):
            call = replace(call, job=replace(call.job, lease_seconds=3600.0))
        return await outcome(loop, call)

    event_loop.CallLoop._outcome = stalled  # type: ignore[method-assign,assignment]


def _sabotage_fills() -> None:
    from brokers.services import order_batch

    @instead(order_batch.OrderBatch, "_is_new", Protection.FILLS)
    def take_every_fill_as_new(original: Any, batch: Any, account_id: int, fill: Any) -> bool:
        return True

    @instead(order_batch, "book_fills", Protection.FILLS)
    def book_under_fresh_ids(original: Any, booked: Sequence[Any]) -> None:
        fresh = [
            replace(item, fill=replace(item.fill, execution_id=uuid4().hex, cumulative_quantity=None))
            for item in booked
        ]
        original(fresh)


def _sabotage_brokers() -> None:
    import aiohttp
    from aiohttp import connector

    from brokers.adapters.alpaca import errors, stream
    from brokers.services import order_gate
    from reliability.services.guarding import judging

    @instead(errors, "_retry_after", Protection.NAMED_WAITS)
    def hear_no_wait(original: Any, *arguments: Any) -> None:
        return None

    @instead(judging, "pause_seconds", Protection.NAMED_WAITS)
    def pause_for_nothing(original: Any, error: Any) -> float:
        return 0.0

    @instead(stream, "Listener", Protection.SILENCE)
    def listen_patiently(original: Any, socket: Any, silence_timeout_seconds: float) -> Any:
        return original(socket, 3600.0)

    @instead(order_gate, "choose_account", Protection.ROUTES)
    def take_the_first_or_none(original: Any, route: Sequence[int], *others: Any) -> Any:
        return original(route[:1], *others)

    @instead(aiohttp.TCPConnector, "_get_ssl_context", Protection.CERTIFICATES)
    def trust_anybody(original: Any, *arguments: Any) -> Any:
        return connector._SSL_CONTEXT_UNVERIFIED


def _sabotage_messages() -> None:
    from reliability.tasks import consumer

    @instead(consumer, "record_dead_message", Protection.DEAD_MESSAGES)
    def drop(original: Any, *arguments: Any) -> None:
        return None


def _sabotage_bars() -> None:
    from reconciliation.services.market_data import intake

    @instead(intake, "_faults_beside", Protection.BAR_RULES)
    def believe_every_price(original: Any, *arguments: Any) -> list[Any]:
        return []


def _keep_from_mending() -> None:
    """Keep from this stack what would hide the harm, or stop trading because of it, and is tested elsewhere.

    Nothing is frozen, and while polls or the de-duplication of fills are taken away nothing is reconciled.
    """
    from brokers.services import odd_fills, reachability
    from reconciliation.services import freeze_watch, integrity, recovery, run_job, telling
    from reliability.core.jobs import Snooze

    for module in (odd_fills, reachability, freeze_watch, integrity, recovery, telling):
        module.freeze_trading = lambda *_, **__: 0  # type: ignore[attr-defined]

    original = run_job.ReconcileAccountJob.prepare

    def wait_while_harm_is_done(kind: Any, jobs: Sequence[Any]) -> Mapping[int, Any]:
        if is_off(Protection.POLL) or is_off(Protection.FILLS):
            return {job.id: Snooze(timedelta(seconds=1)) for job in jobs}
        return original(kind, jobs)

    run_job.ReconcileAccountJob.prepare = wait_while_harm_is_done  # type: ignore[method-assign,assignment]
