"""Codes of the category auth: identity and permission."""

from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "AUTH_INVALID_CREDENTIALS", Cat.AUTHENTICATION, Sev.CRITICAL, Do.MANUAL,
        "The broker does not accept the account's credentials.",
        "Replace the account's credentials; waiting orders then go on by themselves.",
        http_status=503,
        manual_steps="Issue new keys at the broker and enter them in admin under Accounts.",
    ),
    ErrorDefinition(
        "AUTH_FORBIDDEN", Cat.AUTHENTICATION, Sev.CRITICAL, Do.MANUAL,
        "The broker forbids this to the account.", "Check the account's permissions at the broker.",
        http_status=503,
        manual_steps="Compare the key's permissions at the broker with what the account is used for.",
    ),
    ErrorDefinition(
        "AUTH_NOT_AUTHENTICATED", Cat.AUTHENTICATION, Sev.LOW, Do.MANUAL,
        "Credentials are missing, wrong or expired.",
        "Send 'Authorization: Bearer <token>' with a token that is valid.", http_status=401,
        manual_steps="Make a new token with manage.py create_token and give it to the caller.",
    ),
    ErrorDefinition(
        "AUTH_PERMISSION_DENIED", Cat.AUTHENTICATION, Sev.LOW, Do.MANUAL,
        "You may not do this.", "Ask an administrator for the permission named in the details.", http_status=403,
        manual_steps="Give the user the permission in admin, or let somebody who has it do it.",
    ),
    ErrorDefinition(
        "AUTH_ACCOUNT_RESTRICTED", Cat.AUTHENTICATION, Sev.CRITICAL, Do.MANUAL,
        "The broker has closed, suspended or restricted the account.", "Ask the broker what lifts the restriction.",
        http_status=422, manual_steps="Read the broker's messages to the account; route orders elsewhere meanwhile.",
    ),
    ErrorDefinition(
        "AUTH_NOT_ENTITLED", Cat.AUTHENTICATION, Sev.MEDIUM, Do.MANUAL,
        "The account's subscription does not include this.",
        "Subscribe to it at the broker, or ask for what the subscription includes.", http_status=403,
        manual_steps="Compare what was asked for with the subscription at the broker; extend it or ask for less.",
    ),
    ErrorDefinition(
        "AUTH_SESSION_CONFLICT", Cat.AUTHENTICATION, Sev.HIGH, Do.RETRY_BACKOFF,
        "Another session uses the same identity at the broker.",
        "End the other session, or give this one an identity of its own.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "AUTH_SESSION_EXPIRED", Cat.AUTHENTICATION, Sev.MEDIUM, Do.RETRY_IMMEDIATE,
        "The session at the broker has ended.", "It is opened anew.", retryable=True, http_status=503,
    ),
)  # fmt: skip
