"""The console script: all that can take long to import is imported here, where an interruption has its exit status."""

from __future__ import annotations

import os
import sys

THREADS = "OPENBLAS_NUM_THREADS"


def main() -> None:
    """The `accel` command."""
    # Products are of small matrices, and OpenBLAS's threads wait for each other by spinning: two save a tenth of a
    # comparison's time on two idle cores, at half as much CPU again; beside other work they take three times as long.
    if not {THREADS, "OMP_NUM_THREADS"} & os.environ.keys():
        os.environ[THREADS] = "1"
    try:
        from accel.flow.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
