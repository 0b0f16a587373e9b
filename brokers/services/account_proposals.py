"""Changes of an account by hand, proposed by one person and confirmed by another: where money moves, two must agree.

A proposal is a question (see ``reliability.services.interventions``) whose evidence is its content, so that whoever
confirms agrees to exactly that; it is listed, confirmed and sent back where all questions are.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import DataError, transaction

from brokers.core.corporate_actions import CashEntryKind, SplitRatio
from brokers.models import Account, Position
from brokers.services.four_eyes import checked_reason, require_person
from brokers.services.holdings import adjust_position, apply_split, book_cash, change_symbol
from reliability.core.errors import ReliabilityError
from reliability.core.interventions import Choice
from reliability.services.interventions import (
    Decision,
    InterventionKind,
    Question,
    decide_intervention,
    open_interventions,
)

POSITION_KIND, CASH_KIND = "positions.change", "cash.change"
POSITION_PERMISSION, CASH_PERMISSION = "brokers.adjust_position", "brokers.book_cash"
HANDLE_PERMISSION = "reliability.handle_intervention"  # of those who ask, which second persons do not have
CARRY_OUT, DROP = "carry_out", "drop"
_DUE = timedelta(hours=4)
_MAY = {POSITION_KIND: POSITION_PERMISSION, CASH_KIND: CASH_PERMISSION}

CHOICES = (
    Choice(CARRY_OUT, "Do it as proposed", "The record is changed as it says above. No order is sent."),
    Choice(DROP, "Drop it", "Nothing is changed.", needs_second=False),
)


def proposal_kinds(position_page: str, cash_page: str) -> tuple[InterventionKind, ...]:
    """Return the kinds of question; the addresses are of the pages that show what is recorded."""
    return (
        InterventionKind(
            POSITION_KIND, CHOICES, carry_out_proposal, POSITION_PERMISSION, _DUE, lambda subject: position_page
        ),
        InterventionKind(CASH_KIND, CHOICES, carry_out_proposal, CASH_PERMISSION, _DUE, lambda subject: cash_page),
    )


def propose_adjustment(
    account_id: int, symbol: str, *, quantity: Decimal, average_price: Decimal | None = None, by: str, reason: str
) -> int:
    """Propose what is held of a symbol from now on; returns the number of the question.

    It is bound to what is recorded now: if that is another quantity when it is confirmed, nothing is changed.

    Raises:
        ReliabilityError: ``by`` is no person who may, it could not be carried out as things are, or the same is
            proposed already.
    """
    held = Position.objects.filter(account_id=account_id, symbol=symbol).values_list("quantity", flat=True).first()
    content = {"quantity": _text(quantity), "average price": _text(average_price), "recorded": _text(held or 0)}
    return _propose_position(account_id, symbol, "adjust", content, by, reason)


def propose_split(account_id: int, symbol: str, ratio: SplitRatio, *, by: str, reason: str) -> int:
    """Propose to record a split; see ``propose_adjustment``."""
    content = {"new units": str(ratio.new), "for each old": str(ratio.old)}
    return _propose_position(account_id, symbol, "split", content, by, reason)


def propose_symbol(account_id: int, symbol: str, new_symbol: str, *, by: str, reason: str) -> int:
    """Propose to record that a symbol goes by another one; see ``propose_adjustment``."""
    return _propose_position(account_id, symbol, "rename", {"new symbol": new_symbol}, by, reason)


def propose_cash(
    account_id: int,
    kind: CashEntryKind,
    amount: Decimal,
    *,
    currency: str = "USD",
    symbol: str = "",
    by: str,
    reason: str,
) -> int:
    """Propose to book cash that moved without an execution; see ``propose_adjustment``."""
    name = _account_name(account_id)
    content = {"account": name, "kind": kind.value, "amount": _text(amount), "currency": currency, "symbol": symbol}
    subject = f"cash:{name}:{_digest(content)}"
    title = f"Book {_text(amount)} {currency} on {name} as {kind.value}?"
    return propose(CASH_KIND, Question(subject, title, {"action": "cash", **content}, {"account": name}), by, reason)


def propose(kind: str, question: Question, by: str, reason: str, permission: str = "") -> int:
    """Ask a question whose answer one person gives at once, for another to confirm; returns its number.

    What would be done is tried first and taken back, so that only what can be carried out is proposed.

    Raises:
        ReliabilityError: ``by`` may not, there is no reason, the same is proposed already, or it cannot be done.
    """
    reason = checked_reason(reason)
    with transaction.atomic():
        person = require_person(by, "propose changes of accounts", permission or _MAY[kind], HANDLE_PERMISSION)
        _rehearse(question, person, reason)
        numbers = open_interventions(kind, [question])
        if not numbers:
            text = "A change of it is proposed already: have that one confirmed or dropped first."
            raise ReliabilityError("VALIDATION_WRONG_STATE", text)
        decide_intervention(numbers[0], CARRY_OUT, actor=person, reason=reason)
    return numbers[0]


Action = Callable[[Mapping[str, Any], str, str], str]
_ACTIONS: dict[str, Action] = {}


def register_action(name: str, action: Action) -> None:
    """Have ``action`` carry out proposals whose evidence names it; it takes the evidence, who, and why.

    It returns a sentence on what it did, and raises ``ReliabilityError`` where it can not be done any more.
    """
    _ACTIONS[name] = action


def carry_out_proposal(decision: Decision) -> str:
    """Do what a proposal says, in both persons' names, or nothing where it was dropped."""
    if decision.choice == DROP:
        return "Nothing was changed."
    who = f"{decision.actor} and {decision.second}"[:150]
    return _act(decision.evidence, who, decision.reason)


# -- inside ---------------------------------------------------------------------------------


def _act(content: Mapping[str, Any], by: str, reason: str) -> str:
    action = _ACTIONS.get(str(content.get("action")))
    if action is None:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "That change is not known here: propose it again.")
    return action(content, by, reason)


def _rehearse(question: Question, by: str, reason: str) -> None:
    try:
        with transaction.atomic():
            _act(question.evidence, by, reason)
            transaction.set_rollback(True)
    except (DataError, ArithmeticError) as error:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "A number would become too large to be kept.") from error


def _propose_position(account_id: int, symbol: str, action: str, content: dict[str, Any], by: str, reason: str) -> int:
    name = _account_name(account_id)
    told = ", ".join(f"{key} {value}" for key, value in content.items() if value is not None)
    title = f"{action.capitalize()} {symbol} on {name}: {told}?"
    evidence = {"action": action, "account": name, "symbol": symbol, **content}
    question = Question(f"position:{name}/{symbol}", title[:300], evidence, {"account": name})
    return propose(POSITION_KIND, question, by, reason)


def _adjust(content: Mapping[str, Any], by: str, reason: str) -> str:
    price = content["average price"]
    change = adjust_position(
        _account_id(content),
        content["symbol"],
        quantity=Decimal(content["quantity"]),
        average_price=None if price is None else Decimal(price),
        expected=Decimal(content["recorded"]),
        by=by,
        reason=reason,
    )
    return f"Recorded: {change.event}."


def _split(content: Mapping[str, Any], by: str, reason: str) -> str:
    ratio = SplitRatio(Decimal(content["new units"]), Decimal(content["for each old"]))
    return f"Recorded: {apply_split(_account_id(content), content['symbol'], ratio, by=by, reason=reason).event}."


def _rename(content: Mapping[str, Any], by: str, reason: str) -> str:
    change = change_symbol(_account_id(content), content["symbol"], content["new symbol"], by=by, reason=reason)
    return f"Recorded: {change.event}."


def _book(content: Mapping[str, Any], by: str, reason: str) -> str:
    entry = book_cash(
        _account_id(content),
        CashEntryKind(content["kind"]),
        Decimal(content["amount"]),
        currency=content["currency"],
        symbol=content["symbol"],
        by=by,
        reason=reason,
    )
    return f"Booked: {entry}."


for _name, _action in (("adjust", _adjust), ("split", _split), ("rename", _rename), ("cash", _book)):
    register_action(_name, _action)


def _account_id(content: Mapping[str, Any]) -> int:
    found = Account.objects.filter(name=content["account"]).values_list("pk", flat=True).first()
    if found is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such account.")
    return found


def _account_name(account_id: int) -> str:
    name = Account.objects.filter(pk=account_id).values_list("name", flat=True).first()
    if name is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such account.")
    return name


def _text(value: Decimal | int | None) -> str | None:
    return None if value is None else format(Decimal(value).normalize(), "f")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
