"""Every error code there is, in one place; pages, API and command line derive from it."""

from dataclasses import replace

from reliability.core.catalog import auth, broker, data, network, rate_limit, system, timeout, validation
from reliability.core.catalog.procedures import ESCALATION, STEPS
from reliability.core.taxonomy import ErrorDefinition


def _completed(definition: ErrorDefinition) -> ErrorDefinition:
    """Return the entry with who is told, and with what a person does where the entry does not say so itself."""
    steps = definition.manual_steps or STEPS[definition.code]
    return replace(definition, manual_steps=steps, escalation=ESCALATION[definition.code])


CATALOG: dict[str, ErrorDefinition] = {
    definition.code: _completed(definition)
    for category in (network, timeout, auth, rate_limit, validation, broker, data, system)
    for definition in category.DEFINITIONS
}


class UnknownErrorCodeError(KeyError):
    """A code that the catalogue does not have."""


def get_definition(code: str) -> ErrorDefinition:
    """Return the entry of ``code``; raises ``UnknownErrorCodeError``."""
    try:
        return CATALOG[code]
    except KeyError:
        raise UnknownErrorCodeError(code) from None
