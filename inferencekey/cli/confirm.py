"""The question before something is changed."""

from __future__ import annotations

import sys

from inferencekey.cli.printing.failures import CommandError
from inferencekey.printable import shown

__all__ = ["confirm"]


def confirm(question: str, *, yes: bool, json: bool) -> None:
    """Ask on the terminal; return if the user says yes.

    Args:
        question: what is about to be done.
        yes: ``--yes`` was given: do not ask.
        json: ``--json`` was given: a program reads the output, and cannot answer a question.

    Raises:
        CommandError: the user does not say yes, or there is no terminal.
    """
    if yes:
        return
    if json:
        raise CommandError(
            "--json cannot ask for confirmation; pass --yes to skip it. Nothing was changed."
        )
    if not (_terminal(sys.stdin) and _terminal(sys.stderr)):
        raise CommandError(
            "cannot ask for confirmation without a terminal; pass --yes to skip it. "
            "Nothing was changed."
        )
    sys.stdout.flush()
    sys.stderr.write(f"{shown(question)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("not confirmed; nothing was changed")


def _terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty())
