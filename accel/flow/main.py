"""The console script: all that can take long to import is imported here, where an interruption has its exit status."""

from __future__ import annotations

import sys


def main() -> None:
    """The `accel` command."""
    try:
        from accel.flow.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
