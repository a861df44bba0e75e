"""The command line: arguments and printing only."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the ``inferencekey`` command and return its exit code.

    ``inferencekey.cli.app.CODES`` lists the exit codes.
    """
    from inferencekey.cli.printing.streams import prepare_streams

    prepare_streams()
    try:
        from inferencekey.cli.app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("inferencekey"):
            raise
        from inferencekey.installing import missing_message

        message = missing_message(f"the command line needs {error.name}", "cli,local")
        print(f"error: {message}", file=sys.stderr)
        return 1
    return run(sys.argv[1:])
