"""Accepting orders: one transaction makes them durable, and only then is anybody answered."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from brokers.conf import get_conf
from brokers.core.client_order_id import derive_client_order_id
from brokers.core.identifiers import uuid7
from brokers.core.order_reader import OrderInvalidError
from brokers.core.order_requests import OrderRequest, is_usable_idempotency_key, parse_order_request
from brokers.core.orders import Exits, OrderTerms
from brokers.selectors.kill_switch import HALTED_ACCOUNTS
from brokers.services.accounts import AccountProfile, check_symbol, choose_accounts, require_within
from brokers.services.halts import halted_error, leave_out_halted, read_halt, refuse_frozen
from reliability.core.correlation import correlation_or_new
from reliability.core.errors import ReliabilityError
from reliability.services.jobs.enqueue import jobs_insert, jobs_inserted
from reliability.services.prepared import fetch_prepared

SUBMIT_KIND = "orders.submit"
_EXITS = ["order_class", "take_profit_price", "stop_loss_price", "stop_loss_limit_price"]

# The order, its first event with all that is needed to build the row again, and the job that sends
# it: one statement, so that an order costs one round trip and is durable as a whole or not at all.
# Accounts that a kill switch stops take none, as of this statement's snapshot.
_INSERT = """
WITH accepted AS (
    INSERT INTO brokers_order (id, owner_id, account_id, idempotency_key, request_hash, client_order_id, correlation_id,
        symbol, side, order_type, time_in_force, quantity, notional, limit_price, stop_price, extended_hours,
        state, version, broker_order_id, reported_status, reported_filled_quantity, filled_quantity, filled_notional,
        lookup_misses, error_code, error_message, submit_before, route, when_unavailable,
        order_class, take_profit_price, stop_loss_price, stop_loss_limit_price)
    SELECT id, %(owner)s, account_id, idempotency_key, request_hash, client_order_id, %(correlation_id)s,
        symbol, side, order_type, time_in_force, quantity, notional, limit_price, stop_price, extended_hours,
        'accepted', 1, '', '', 0, 0, 0, 0, '', '', clock_timestamp() + %(submit_within)s,
        route, when_unavailable, order_class, take_profit_price, stop_loss_price, stop_loss_limit_price
    FROM json_to_recordset(%(orders)s::json)
         AS new (id uuid, account_id bigint, idempotency_key text, request_hash text, client_order_id text, symbol text,
                 side text, order_type text, time_in_force text, quantity numeric, notional numeric,
                 limit_price numeric, stop_price numeric, extended_hours boolean, route bigint[],
                 when_unavailable text, order_class text, take_profit_price numeric, stop_loss_price numeric,
                 stop_loss_limit_price numeric)
    WHERE account_id <> ALL({halted})
    ON CONFLICT (owner_id, idempotency_key) DO NOTHING
    RETURNING id, owner_id, account_id, idempotency_key, request_hash, client_order_id, correlation_id, symbol, side,
        order_type, time_in_force, quantity, notional, limit_price, stop_price, extended_hours, accepted_at,
        submit_before, route, when_unavailable, order_class, take_profit_price, stop_loss_price, stop_loss_limit_price
), noted AS (
    INSERT INTO brokers_orderevent (order_id, sequence, kind, from_state, to_state, source, actor, evidence)
    SELECT id, 1, 'accepted', '', 'accepted', 'api', %(actor)s,
        CASE WHEN order_class <> '' THEN to_jsonb(accepted) ELSE to_jsonb(accepted) - %(exits)s::text[] END
    FROM accepted
), queued AS (
    {jobs_insert}
)
SELECT id, accepted_at, submit_before FROM accepted
"""

_EXISTING = """
SELECT o.id, o.idempotency_key, o.request_hash, o.client_order_id, o.correlation_id, a.name, o.accepted_at,
       o.submit_before,
       %(within)s::bigint[] IS NULL OR array_append(o.route, o.account_id) <@ %(within)s::bigint[] AS is_visible
FROM brokers_order o JOIN brokers_account a ON a.id = coalesce(o.route[1], o.account_id)
WHERE o.owner_id = %(owner)s AND o.idempotency_key = ANY(%(keys)s)
"""


@dataclass(frozen=True, slots=True)
class OrderSubmission:
    """What a caller hands in: a key that names the intent, and the decoded body."""

    idempotency_key: object
    body: object


@dataclass(frozen=True, slots=True)
class AcceptedOrder:
    """The answer to an accepted order; ``replayed`` when the same intent had been accepted before."""

    id: UUID
    client_order_id: str
    account: str
    terms: OrderTerms
    accepted_at: datetime
    submit_before: datetime
    correlation_id: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One checked order on its way into the table; ``profile`` is the account it is to go to first."""

    id: UUID
    key: str
    request: OrderRequest
    profile: AccountProfile
    route: tuple[int, ...]
    client_order_id: str


@dataclass(frozen=True, slots=True)
class _Refused:
    """A valid order that cannot be accepted now; the same intent may have been accepted before."""

    key: str
    request: OrderRequest
    error: ReliabilityError


@dataclass(frozen=True, slots=True)
class _Known:
    """What the table says of one key."""

    id: UUID
    request_hash: str
    client_order_id: str
    account: str
    accepted_at: datetime
    submit_before: datetime
    correlation_id: str
    is_visible: bool
    is_new: bool


def accept_order(
    *, owner_id: int, actor: str, submission: OrderSubmission, within: Collection[int] | None = None
) -> AcceptedOrder:
    """Accept one order; raises ``ReliabilityError`` when it cannot be accepted."""
    (result,) = accept_orders(owner_id=owner_id, actor=actor, submissions=[submission], within=within)
    if isinstance(result, ReliabilityError):
        raise result
    return result


def accept_orders(
    *,
    owner_id: int,
    actor: str,
    submissions: Sequence[OrderSubmission],
    within: Collection[int] | None = None,
) -> list[AcceptedOrder | ReliabilityError]:
    """Accept many orders in one transaction, each judged by itself, answered in the same order.

    When this returns, every accepted order is durable together with the job that will send
    it. The same key with the same meaning gives the same answer again, whoever else is
    sending it at this moment; with another meaning it is a conflict.

    ``within`` are the ids of the accounts the caller may reach, None for all: others do not exist for it.
    """
    checked = [_check(owner_id, submission, within) for submission in submissions]
    candidates: dict[str, _Candidate] = {}
    for item in checked:
        if isinstance(item, _Candidate):
            candidates.setdefault(item.key, item)
    in_order = sorted(candidates.values(), key=lambda candidate: candidate.key)  # so that no two batches cross
    known = _insert(owner_id, actor, in_order, within) if in_order else {}
    refused = {item.key for item in checked if isinstance(item, _Refused)} - known.keys()
    if refused:
        known.update(_read_existing(owner_id, sorted(refused), within))
    return [_answer(item, candidates, known) for item in checked]


def _check(
    owner_id: int, submission: OrderSubmission, within: Collection[int] | None
) -> _Candidate | _Refused | ReliabilityError:
    key = submission.idempotency_key
    if not is_usable_idempotency_key(key):
        return ReliabilityError("VALIDATION_MISSING_IDEMPOTENCY_KEY")
    assert isinstance(key, str)
    try:
        request = parse_order_request(submission.body)
    except OrderInvalidError as error:
        return ReliabilityError("VALIDATION_INVALID_ORDER", details=dict(error.problems))
    try:
        require_within(request.route, within)
    except ReliabilityError as error:
        return error
    try:
        profiles = leave_out_halted(choose_accounts(request.route))
        for profile in profiles:
            check_symbol(profile, request.terms.symbol)
            _require_exits(profile, request.terms.exits)
        refuse_frozen(profiles, request)
    except ReliabilityError as error:
        return _Refused(key, request, error)
    client_id = derive_client_order_id(account=profiles[0].name, owner=str(owner_id), idempotency_key=key)
    route = tuple(profile.id for profile in profiles) if len(profiles) > 1 else ()
    return _Candidate(uuid7(), key, request, profiles[0], route, client_id)


def _insert(
    owner_id: int, actor: str, candidates: Sequence[_Candidate], within: Collection[int] | None
) -> dict[str, _Known]:
    correlation_id = correlation_or_new()
    parameters: Any = {
        "owner": owner_id,
        "actor": actor,
        "correlation_id": correlation_id,
        "submit_within": get_conf().submit_within,
        "exits": _EXITS,
        "orders": json.dumps([_row(candidate) for candidate in candidates]),
    }
    rows = fetch_prepared(
        _INSERT.format(halted=HALTED_ACCOUNTS, jobs_insert=jobs_insert(SUBMIT_KIND, "accepted")), parameters
    )
    inserted = {row[0]: (row[1], row[2]) for row in rows}
    jobs_inserted(SUBMIT_KIND)
    known = {
        candidate.key: _Known(
            candidate.id,
            candidate.request.request_hash,
            candidate.client_order_id,
            candidate.profile.name,
            *inserted[candidate.id],
            correlation_id,
            is_visible=True,
            is_new=True,
        )
        for candidate in candidates
        if candidate.id in inserted
    }
    missing = [candidate.key for candidate in candidates if candidate.id not in inserted]
    if missing:
        known.update(_read_existing(owner_id, missing, within))
    return known


def _row(candidate: _Candidate) -> dict[str, Any]:
    terms = candidate.request.terms
    return {
        "id": str(candidate.id),
        "account_id": candidate.profile.id,
        "idempotency_key": candidate.key,
        "request_hash": candidate.request.request_hash,
        "client_order_id": candidate.client_order_id,
        "symbol": terms.symbol,
        "side": terms.side,
        "order_type": terms.order_type,
        "time_in_force": terms.time_in_force,
        "quantity": _text(terms.quantity),
        "notional": _text(terms.notional),
        "limit_price": _text(terms.limit_price),
        "stop_price": _text(terms.stop_price),
        "extended_hours": terms.extended_hours,
        "route": list(candidate.route) or None,
        "when_unavailable": candidate.request.when_unavailable,
        **_exits(terms.exits),
    }


def _exits(exits: Exits | None) -> dict[str, str | None]:
    if exits is None:
        return {"order_class": ""}
    amounts = map(_text, (exits.take_profit, exits.stop_loss, exits.stop_loss_limit))
    return dict(zip(_EXITS, (exits.order_class.value, *amounts), strict=True))


def _require_exits(profile: AccountProfile, exits: Exits | None) -> None:
    if exits is None:
        return
    taken = profile.adapter.capabilities.exit_classes
    if exits.order_class not in taken:
        what = f"{exits.order_class} orders" if taken else "orders with exits"
        problem = f"{profile.broker} takes no {what}: send the exits by themselves once the entry has filled"
        raise ReliabilityError("VALIDATION_INVALID_ORDER", details={"order_class": [problem]})


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _read_existing(owner_id: int, keys: Sequence[str], within: Collection[int] | None) -> dict[str, _Known]:
    parameters: dict[str, Any] = {
        "owner": owner_id,
        "keys": list(keys),
        "within": None if within is None else list(within),
    }
    with connection.cursor() as cursor:
        cursor.execute(_EXISTING, parameters)
        rows = cursor.fetchall()
    return {
        key: _Known(order_id, request_hash, client_id, account, accepted_at, before, cause, is_visible, is_new=False)
        for order_id, key, request_hash, client_id, cause, account, accepted_at, before, is_visible in rows
    }


def _answer(
    item: _Candidate | _Refused | ReliabilityError, candidates: dict[str, _Candidate], known: dict[str, _Known]
) -> AcceptedOrder | ReliabilityError:
    if isinstance(item, ReliabilityError):
        return item
    if isinstance(item, _Refused) and item.key not in known:
        return item.error
    if item.key not in known:
        return halted_error(read_halt(candidates[item.key].profile))
    found = known[item.key]
    if not found.is_visible:
        return ReliabilityError("VALIDATION_IDEMPOTENCY_CONFLICT")
    if found.request_hash != item.request.request_hash:
        return ReliabilityError("VALIDATION_IDEMPOTENCY_CONFLICT", details={"order_id": str(found.id)})
    return AcceptedOrder(
        id=found.id,
        client_order_id=found.client_order_id,
        account=found.account,
        terms=item.request.terms,
        accepted_at=found.accepted_at,
        submit_before=found.submit_before,
        correlation_id=found.correlation_id,
        replayed=not found.is_new or candidates.get(item.key) is not item,
    )
