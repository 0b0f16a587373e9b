"""Who acts when something is done from the command line."""

import getpass


def command_line_actor() -> str:
    """Return the operating system's user, marked as acting from the command line."""
    try:
        return f"cli:{getpass.getuser()}"
    except OSError:
        return "cli:unknown"
