"""Tokens that are limited to accounts."""

from typing import ClassVar

from reliability.api.authentication import TokenAuthentication


class LimitedTokenAuthentication(TokenAuthentication):
    """As every token, with the accounts it is limited to, if it is."""

    accounts_sql: ClassVar[str] = "(SELECT one.accounts FROM brokers_tokenlimit one WHERE one.token_id = token.digest)"
