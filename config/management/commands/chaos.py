"""``manage.py chaos``: run the scenarios in which a stack is broken on purpose. Starts its own, touches no other."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from config.chaos.command import add_arguments, execute


class Command(BaseCommand):
    help = "Break a stack of its own on purpose, and judge by the brokers' ledgers what it made of it."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        from argparse import Namespace

        status = execute(Namespace(**options))
        if status:
            sys.exit(status)
