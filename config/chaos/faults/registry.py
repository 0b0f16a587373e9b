"""Every kind of fault by the name that scenario files use."""

import random

from config.chaos.faults import (
    addresses,
    brokers,
    market_data,
    messages,
    network,
    processes,
    servers,
    surroundings,
    tracing,
)
from config.chaos.faults.fault import Fault
from config.chaos.scenario import FaultPlan, Scenario, ScenarioError
from config.chaos.stack import Stack

KINDS: dict[str, type[Fault]] = {
    kind.kind: kind
    for module in (addresses, brokers, market_data, messages, network, processes, servers, surroundings, tracing)
    for kind in module.FAULTS
}


def make_fault(plan: FaultPlan, stack: Stack, chance: random.Random) -> Fault:
    """Return the fault that a plan asks for.

    Raises:
        ScenarioError: There is no such kind.
    """
    if plan.kind not in KINDS:
        raise ScenarioError(f"no fault {plan.kind!r}; there are: {', '.join(KINDS)}")
    return KINDS[plan.kind](stack, plan.target, plan.options, chance)


def why_not(scenario: Scenario, stack: Stack) -> str:
    """Return why a scenario cannot be run here, or nothing."""
    if scenario.not_run:
        return scenario.not_run
    reasons = [make_fault(plan, stack, random.Random(0)).missing() for plan in scenario.faults]
    return "; ".join(dict.fromkeys(filter(None, reasons)))
