"""The usual way of an order in two statements: from due to being sent, and from acknowledged to done.

Each does for a whole batch what a transaction of the general way does in four or five round
trips, order and job together, and leaves out whatever needs a decision. A test holds both ways
against each other.
"""

import json
import time
from collections.abc import Collection, Sequence
from uuid import UUID

from brokers.core.reports import OrderReport
from brokers.services.order_statements import (
    ACKNOWLEDGE_CHOSEN,
    SENDABLE,
    UNANSWERED,
    SendingOrder,
    reply_row,
    send_chosen,
    sending_order,
    sent_columns,
)
from reliability.core.jobs import ClaimedJob
from reliability.services.jobs.express import CLAIMED_COLUMNS, claim_of, due_jobs, finish_of, held_of
from reliability.services.jobs.table import claim_parameters, claimed_job
from reliability.services.prepared import fetch_prepared

# The first column is how many jobs are due that only the general way can claim; it comes also
# when nothing is claimed.
_CLAIM_AND_SEND = f"""
WITH due AS MATERIALIZED ({due_jobs()}), chosen AS MATERIALIZED (
    SELECT o.id, due.id AS job, due.lease,
           jsonb_build_object('attempt', due.attempt + 1, 'fence', due.fence + 1) AS evidence
    FROM due JOIN brokers_order o ON o.id = due.subject
    WHERE due.kind = %(kind)s AND due.snoozes = 0 AND due.deadline_at IS NULL AND {SENDABLE}
    ORDER BY o.id FOR UPDATE OF o
), {send_chosen("job", "lease")}, claimed AS ({claim_of("sent", key="job", also=sent_columns("due"))})
SELECT (SELECT count(*) FROM due) - (SELECT count(*) FROM chosen), claimed.*
FROM (VALUES (1)) AS always LEFT JOIN claimed ON true
"""  # noqa: S608  # constants of our own

_ACKNOWLEDGE_AND_FINISH = f"""
WITH reply AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json)
    AS reply (id uuid, broker_order_id text, reported_at timestamptz, evidence jsonb, job bigint, fence bigint)
), held AS MATERIALIZED ({held_of("reply")}), chosen AS MATERIALIZED (
    SELECT o.id, reply.broker_order_id, reply.reported_at, reply.evidence, reply.job, reply.fence
    FROM held JOIN reply ON reply.job = held.id AND reply.fence = held.fence JOIN brokers_order o ON o.id = reply.id
    WHERE {UNANSWERED}
    ORDER BY o.id FOR UPDATE OF o
), {ACKNOWLEDGE_CHOSEN}, finished AS ({finish_of("chosen")})
SELECT job, fence FROM chosen
"""  # noqa: S608  # constants of our own


def claim_and_send(
    kind: str, lane: str, worker: int, limit: int, *, narrow: Collection[int]
) -> tuple[list[tuple[ClaimedJob, SendingOrder]], bool]:
    """Claim due jobs of ``kind`` whose orders can be sent at once, and mark these as being sent.

    Returns them, and whether other jobs of the lane are due. Orders of ``narrow`` accounts are left out.
    """
    before = time.monotonic()
    parameters = {**claim_parameters(lane, worker, limit), "kind": kind, "narrow": list(narrow)}
    rows = fetch_prepared(_CLAIM_AND_SEND, parameters)
    begun = [_begun(row[1:], before) for row in rows if row[1] is not None]
    return sorted(begun, key=lambda pair: pair[0].id), rows[0][0] > 0


def _begun(row: Sequence[object], before: float) -> tuple[ClaimedJob, SendingOrder]:
    return claimed_job(row[:CLAIMED_COLUMNS], before), sending_order(tuple(row[CLAIMED_COLUMNS:]))


def acknowledge_and_finish(replies: Sequence[tuple[ClaimedJob, UUID, OrderReport]]) -> set[tuple[int, int]]:
    """Record plain acknowledgements and finish the jobs, where a job is still held; returns the claims done with."""
    if not replies:
        return set()
    rows = [{**reply_row(order_id, report), "job": job.id, "fence": job.fence} for job, order_id, report in replies]
    return {(row[0], row[1]) for row in fetch_prepared(_ACKNOWLEDGE_AND_FINISH, [json.dumps(rows)])}
