"""Actions on accounts and orders that steps of runbooks may run."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from brokers.models import Account, Order
from brokers.services.decisions import look_again
from brokers.services.kill_switch import engage
from brokers.services.synchronization import want_sync
from reliability.core.errors import ReliabilityError
from reliability.services.runbook_actions import Action, Plan, register_action


def register_broker_actions() -> None:
    for action in (
        Action("accounts.synchronize", "one account", "brokers.change_account", _plan_synchronize, _synchronize),
        Action("orders.look_again", "one order", "brokers.decide_order", _plan_look, _look),
        Action("orders.halt_account", "all orders of an account", "brokers.engage_kill_switch", _plan_halt, _halt),
    ):
        register_action(action)


def _plan_synchronize(name: str) -> Plan:
    account = _account(name)
    text = f"Fills and open orders of {account.name} are fetched from {account.broker} over REST. Nothing is sent."
    return Plan({"account": account.pk}, text)


def _synchronize(inputs: Mapping[str, Any], actor: str, reason: str) -> str:
    want_sync([int(inputs["account"])])
    return "The account is being fetched."


def _plan_look(name: str) -> Plan:
    order = _order(name)
    text = f"{order.account.broker} is asked once for {order.client_order_id}. Nothing is sent."
    return Plan({"order": str(order.pk)}, text)


def _look(inputs: Mapping[str, Any], actor: str, reason: str) -> str:
    look_again(UUID(inputs["order"]), actor=actor, reason=reason)
    return "The broker is asked for it now."


def _plan_halt(name: str) -> Plan:
    account = _order(name).account
    text = f"Trading on {account.name} stops: new orders are refused, open ones canceled. Two persons release it."
    return Plan({"scope": f"account:{account.name}"}, text)


def _halt(inputs: Mapping[str, Any], actor: str, reason: str) -> str:
    return f"Trading is stopped: {engage(inputs['scope'], reason=reason, actor=actor).scope}."


def _account(name: str) -> Account:
    account = Account.objects.select_related("broker").filter(name=name).first()
    if account is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no account called {name!r}.")
    return account


def _order(name: str) -> Order:
    try:
        order = Order.objects.select_related("account__broker").filter(pk=UUID(name)).first()
    except ValueError:
        order = None
    if order is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such order.")
    return order
