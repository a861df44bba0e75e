"""Asking before something is changed."""

from __future__ import annotations

import sys

from inferencekey.cli.failures import CommandError

__all__ = ["confirm"]


def confirm(question: str, *, yes: bool, json: bool) -> None:
    """Ask on the terminal; return if the answer is yes.

    Args:
        question: what is about to be done.
        yes: ``--yes`` was given: do not ask.
        json: ``--json`` was given: its reader is a program, which cannot be asked.

    Raises:
        CommandError: the answer is no, or there is nobody to ask.
    """
    if yes:
        return
    if json:
        raise CommandError(
            "--json does not ask; pass --yes to do it without asking. Nothing was changed."
        )
    if not (_terminal(sys.stdin) and _terminal(sys.stderr)):
        raise CommandError(
            "there is no terminal to ask on; pass --yes to do it without asking. Nothing was changed."
        )
    sys.stdout.flush()
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("not confirmed; nothing was changed")


def _terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty())
