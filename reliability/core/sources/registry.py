"""The sources that every installation has, whatever its brokers."""

from collections.abc import Mapping

from reliability.core.rules import Resolver, Rule
from reliability.core.sources import http


def generic_rules() -> tuple[Rule, ...]:
    """Return the tables of all generic sources."""
    return ()


def generic_resolvers() -> Mapping[str, Resolver]:
    """Return the resolvers of all generic sources."""
    return {http.SOURCE: http.resolve_http}
