"""``python -m config.chaos``: break a stack of its own on purpose and judge what it did."""

import sys

from config.chaos.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
