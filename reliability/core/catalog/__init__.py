"""Every error code there is, in one place; pages, API and command line derive from it."""

from reliability.core.catalog import auth, broker, data, network, rate_limit, system, timeout, validation
from reliability.core.taxonomy import ErrorDefinition

CATALOG: dict[str, ErrorDefinition] = {
    definition.code: definition
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
