"""Every error code there is, in one place; pages, API and command line derive from it."""

from dataclasses import replace

from reliability.core.catalog import auth, broker, data, network, rate_limit, system, timeout, validation
from reliability.core.taxonomy import ErrorDefinition, ErrorSeverity

_ESCALATION = {
    ErrorSeverity.CRITICAL: "operator at once",
    ErrorSeverity.HIGH: "operator, when it lasts longer than five minutes or comes back",
}


def _completed(definition: ErrorDefinition) -> ErrorDefinition:
    """Return the entry with the escalation of its severity where it names none of its own."""
    escalation = definition.escalation or _ESCALATION.get(definition.severity, "")
    return replace(definition, escalation=escalation)


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
