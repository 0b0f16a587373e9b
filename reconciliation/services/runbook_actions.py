"""Reconciling as an action that steps of runbooks may run."""

from collections.abc import Mapping
from typing import Any

from brokers.selectors.accounts import list_accounts
from reconciliation.services.runs import request_run
from reliability.core.errors import ReliabilityError
from reliability.services.runbook_actions import Action, Plan, register_action


def register_reconciliation_actions() -> None:
    permission = "reconciliation.run_reconciliation"
    register_action(Action("accounts.reconcile", "one account", permission, _plan, _reconcile))


def _plan(name: str) -> Plan:
    account = next((one for one in list_accounts() if one.name == name), None)
    if account is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no account called {name!r}.")
    return Plan({"account": account.id}, f"{name} is compared with what its broker reports, in full. Nothing is sent.")


def _reconcile(inputs: Mapping[str, Any], actor: str, reason: str) -> str:
    run = request_run(int(inputs["account"]), kind="full", trigger="person", by=actor)
    return f"Reconciliation run {run} is asked for."
