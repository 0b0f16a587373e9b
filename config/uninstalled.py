"""An environment for commands that need no installation: complete, and leading nowhere."""

import base64
import secrets
from collections.abc import MutableMapping

from config.environment import VARIABLES

COMMANDS = frozenset({"chaos", "errors", "simulate"})
"""Management commands that need no installation: they read the program itself, or start a stack of their own."""


def needs_no_installation(arguments: list[str]) -> bool:
    """Return whether the command line ``arguments`` (program first) name such a command."""
    return len(arguments) > 1 and arguments[1] in COMMANDS


def forget_installation(environ: MutableMapping[str, str]) -> None:
    """Take every variable of an installation out of ``environ`` and set those that must be there.

    The addresses are of ports where nobody listens, the secrets are new each time: nothing that was set
    wrongly can disturb such a command, and nothing it does can reach an installation.
    """
    for variable in VARIABLES:
        environ.pop(variable.name, None)
    environ["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    environ["REDIS_URL"] = "redis://127.0.0.1:1/0"
    environ["STANCHION_SECRET_KEY"] = secrets.token_urlsafe(48)
    environ["STANCHION_ENCRYPTION_KEY"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
