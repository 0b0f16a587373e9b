"""The runner of one pool process: it claims, has calls made, and writes what came of them.

One thread owns the database connection and all decisions; a second one (``CallLoop``)
makes the calls. A ring of the bell or a Celery nudge wakes the runner, and without any it
looks at its lanes by itself a few times a second, so a dead message broker costs latency only.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from queue import Empty

from django.db import close_old_connections, connection

from reliability.conf import get_conf
from reliability.core.jobs import SUSPICIONS, Performed, Suspicion
from reliability.models import Lane
from reliability.services import tracing
from reliability.services.jobs.bell import Bell
from reliability.services.jobs.event_loop import CallLoop
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare, is_outage
from reliability.services.jobs.kinds import Call, lane_room
from reliability.services.jobs.table import find_due, has_suspects, renew_leases
from reliability.services.jobs.traced import apply_traced, note_origins
from reliability.services.prepared import forget_plans
from reliability.services.pulse import Pulse

logger = logging.getLogger(__name__)

BATCH = 100
GATHER_SECONDS = 0.001
CLAIM_PACE_SECONDS = 0.015
EAGER_SECONDS = 0.02
BUSY_SECONDS = 0.5
PLAN_FOR = 500
_REST_SECONDS = 10.0
_LANE_REFRESH_SECONDS = 1.0
_DATABASE_PAUSE_SECONDS = 0.2
_STOPPING_LOOK_SECONDS = 0.05


class LaneState:
    """What the runner keeps about one lane it serves."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.concurrency = 200
        self.calls: dict[tuple[int, int], Call] = {}
        self.wanted = False  # set by any thread, cleared by the runner's before it claims

    def room(self) -> int:
        """Return how many jobs may be claimed now: none while others are under way and it would be a small batch."""
        most = min(self.concurrency, BATCH)
        left = self.concurrency - len(self.calls)
        room = min(most, left, lane_room(self.name, list(self.calls.values())))
        return room if room * 4 >= most or not self.calls else 0


class JobRunner:
    """Runs the jobs of some lanes in this process until it is stopped."""

    def __init__(self, lanes: Sequence[str], pulse: Pulse) -> None:
        self._lanes = {name: LaneState(name) for name in lanes}
        self._pulse = pulse
        self._calls = CallLoop()
        self._inbox = self._calls.outcomes
        self._bell = Bell(get_conf().redis_url, lanes, self.wake)
        self._stop = threading.Event()
        self._next_look = 0.0
        self._next_refresh = 0.0
        self._next_renewal = 0.0
        self._next_claim = 0.0
        self._busy_until = 0.0
        self._rests_from = 0.0
        self._claimed = 0
        self._plans_fit_for = 0
        self._suspected: list[str] = []
        self._is_apart = False
        self._levels = deque(SUSPICIONS)
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._thread.start()

    # -- called from other threads ------------------------------------------------------

    def wake(self, lane: str) -> None:
        """Look at ``lane`` as soon as possible; returns at once."""
        state = self._lanes.get(lane)
        if state is not None:
            state.wanted = True
            self._inbox.put(None)

    def stop(self, wait_seconds: float) -> None:
        """Claim nothing more, hand back what has not begun, wait for what has, and write it."""
        self._stop.set()
        self._bell.stop()
        self._calls.refuse_new_calls()
        self._inbox.put(None)
        self._thread.join(timeout=wait_seconds)
        self._calls.stop()

    # -- the runner's own thread --------------------------------------------------------

    def _run(self) -> None:
        outcomes: list[Performed] = []
        while not (self._stop.is_set() and not self._count_calls()):
            try:
                outcomes = self._turn(outcomes)
            except Exception as error:
                if is_outage(error):
                    logger.warning(
                        "the database is away or out of reach; outcomes are kept", extra={"error": str(error).strip()}
                    )
                else:
                    logger.exception("the runner stumbled")
                connection.close()
                time.sleep(_DATABASE_PAUSE_SECONDS)
        connection.close()

    def _turn(self, outcomes: list[Performed]) -> list[Performed]:
        """Write what came back, claim what is due, and wait for whichever comes first."""
        if outcomes:
            if tracing.is_on():
                apply_traced(outcomes)
            else:
                apply_outcomes(outcomes)
            self._forget(outcomes)
            outcomes.clear()
        if not self._stop.is_set():
            self._refresh()
            self._claim()
        self._renew()
        self._collect(outcomes)
        return outcomes

    def _claim(self) -> None:
        now = time.monotonic()
        look = now >= self._next_look
        if look:
            self._look(now)
        if now < self._next_claim:
            return
        if self._is_apart and self._count_calls():
            return
        self._is_apart = False
        if self._suspected:
            self._claim_suspects()
            return
        for lane in self._lanes.values():
            room = lane.room() if lane.wanted else 0
            if room > 0:
                lane.wanted = False
                self._claim_lane(lane, room)

    def _look(self, now: float) -> None:
        """Ask without being told which lanes have due work: four times a second, or often while work comes unheard."""
        eager = now < self._busy_until and not self._bell.hears
        self._next_look = now + (EAGER_SECONDS if eager else get_conf().poll_interval.total_seconds())
        for name in find_due(list(self._lanes)):
            self._lanes[name].wanted = True

    def _claim_suspects(self) -> None:
        """Run a few jobs whose process died twice, with no others beside them in this process.

        One group of a lane each time lanes are looked at for suspects; what is under no suspicion goes on in between,
        for after a crash of a full process there may be hundreds.
        """
        if self._count_calls():
            return
        lane = self._lanes[self._suspected.pop(0)]
        self._levels.rotate(1)
        for suspicion in self._levels:
            if self._claim_lane(lane, suspicion.together, suspicion):
                self._is_apart = True
                return

    def _claim_lane(self, lane: LaneState, room: int, suspicion: Suspicion | None = None) -> int:
        self._keep_plans_fit()
        calls, claimed = claim_and_prepare(lane.name, self._pulse.number, room, suspicion)
        self._claimed += claimed
        now = time.monotonic()
        self._next_claim = now + (0.0 if claimed == room else CLAIM_PACE_SECONDS)
        if claimed:
            self._busy_until = now + BUSY_SECONDS
            if not self._bell.hears:
                self._next_look = min(self._next_look, now + EAGER_SECONDS)
        if claimed == room:
            lane.wanted = True
        lane.calls.update({call.job.claim: call for call in calls})
        if calls:
            if tracing.is_on():
                note_origins(calls)
            self._calls.start_calls(calls)
        return claimed

    def _keep_plans_fit(self) -> None:
        """Plan anew after a rest, and each time as many jobs again were claimed: tables may have grown far by then.

        Not every second, for planning makes an order wait for some milliseconds.
        """
        now = time.monotonic()
        if now > self._rests_from or self._claimed >= self._plans_fit_for:
            forget_plans()
            self._plans_fit_for = max(PLAN_FOR, 2 * self._claimed)
        self._rests_from = now + _REST_SECONDS

    def _collect(self, outcomes: list[Performed]) -> None:
        """Wait for outcomes or for a reason to look again, and take all outcomes that are there."""
        try:
            first = self._inbox.get(timeout=self._idle_seconds())
        except Empty:
            return
        if first is not None:
            outcomes.append(first)
            if self._count_calls() > 1:
                time.sleep(GATHER_SECONDS)
        while True:
            try:
                further = self._inbox.get_nowait()
            except Empty:
                return
            if further is not None:
                outcomes.append(further)

    def _idle_seconds(self) -> float:
        """Return how long there is nothing to do unless something comes in."""
        if self._stop.is_set():
            return _STOPPING_LOOK_SECONDS
        wanted = any(lane.wanted and lane.room() > 0 for lane in self._lanes.values())
        may_claim = not self._count_calls() if self._suspected or self._is_apart else wanted
        until = min(self._next_look, self._next_claim) if may_claim else self._next_look
        return max(0.0, until - time.monotonic())

    def _forget(self, outcomes: Sequence[Performed]) -> None:
        for outcome in outcomes:
            self._lanes[outcome.job.lane].calls.pop(outcome.job.claim, None)

    def _count_calls(self) -> int:
        return sum(len(lane.calls) for lane in self._lanes.values())

    def _refresh(self) -> None:
        """Once a second: read the lanes' settings, and whether some job must run alone."""
        now = time.monotonic()
        if now < self._next_refresh:
            return
        self._next_refresh = now + _LANE_REFRESH_SECONDS
        if not self._count_calls():
            close_old_connections()
        for row in Lane.objects.filter(name__in=self._lanes).values_list("name", "concurrency"):
            self._lanes[row[0]].concurrency = max(1, row[1])
        self._suspected = sorted(has_suspects(list(self._lanes)))

    def _renew(self) -> None:
        """Extend the leases of long calls; a frozen process cannot, and loses them."""
        now = time.monotonic()
        if now < self._next_renewal:
            return
        lease = get_conf().job_lease
        self._next_renewal = now + lease.total_seconds() / 4
        claimed = [call.job for lane in self._lanes.values() for call in lane.calls.values()]
        aging = [job for job in claimed if now - job.claimed_monotonic > job.lease_seconds / 4]
        renew_leases(aging, lease)
