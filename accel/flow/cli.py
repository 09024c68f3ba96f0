"""The command line's exit statuses.

0: done; 2: the user's input is wrong, with one line on standard error that says what would be right; 130: interrupted.
Anything else is a defect of the program and shows its traceback. The verbs are in `accel.flow.verbs`.
"""

from __future__ import annotations

import errno
import io
import os
import sys

import typer

from accel.flow.options import check_once
from accel.flow.said import drop, say
from accel.flow.verbs import app
from accel.models.errors import Blocked, InputError

# typer carries its own copy of click, under different names in different versions: take the class from its children.
UsageError: type[BaseException] = typer.BadParameter.__mro__[1]

COMPLETION = ("--install-completion", "--show-completion")
# typer takes the shell's name with these only if it may not look for a shell itself, and ignores it otherwise.
NO_DETECTION = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"


def run(arguments: list[str]) -> int:
    """Run the command line with these arguments; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names come from files, and a terminal may not have their characters
            stream.reconfigure(errors="replace")
    completion = bool(arguments) and arguments[0] in COMPLETION
    if completion and len(arguments) > 1:
        os.environ[NO_DETECTION] = "1"
    try:
        check_once(app, arguments)
        status = app(arguments or ["--help"], prog_name="accel", standalone_mode=False)
    except Blocked as error:  # a list, a line each
        first, *rest = str(error).splitlines()
        status = _fail(first)
        for line in rest:
            say(line)
        return status
    except InputError as error:
        return _fail(str(error))
    except UsageError as error:
        return _fail(f"{getattr(error, 'format_message', error.__str__)()} (see accel --help)")
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except (BrokenPipeError, SystemExit) as left:
        if not getattr(left, "code", 1):  # typer leaves by SystemExit(0) when it has answered a shell's completion
            return 0
        # The reader has what it wanted (`accel designs | head`): rich and typer leave by SystemExit(1) then.
        drop(sys.stdout)
        return 0
    except MemoryError:
        return _fail("the network with its inputs must fit in memory, and does not")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        drop(sys.stdout)
        return _fail(f"output cannot be written: {error.strerror}")
    if completion and status:
        return _fail(f"which shell this is must be seen from what started it, or said: {arguments[0]} bash")
    return status if isinstance(status, int) else 0


def _fail(message: str) -> int:
    say("accel: " + " ".join(message.split()))
    return 2


def main() -> None:
    """The `accel` command, once everything is imported: see `accel.flow.main`."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
