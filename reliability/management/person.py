"""Who acts on the command line where a name alone is nobody's word."""

import getpass
import sys

from django.contrib.auth import authenticate
from django.core.management.base import CommandError


def person_of_password(username: str) -> str:
    """Return the username of the person who knows its password: asked for, or read from standard input."""
    at_terminal = sys.stdin.isatty()
    password = getpass.getpass(f"Password of {username}: ") if at_terminal else sys.stdin.readline().rstrip("\n")
    person = authenticate(username=username, password=password)
    if person is None:
        raise CommandError("That is no active person, or not the password.")
    return person.get_username()
