#!/usr/bin/env python
"""Django's command line for Stanchion."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured

from config.uninstalled import forget_installation, needs_no_installation


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if needs_no_installation(sys.argv):
        forget_installation(os.environ)
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"stanchion: {error}")


if __name__ == "__main__":
    main()
