"""How the commands print: results on stdout, everything about the work on stderr; colour only on a terminal."""

from __future__ import annotations

import sys
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape

__all__ = ["console", "fail", "note", "print_json", "progress_console"]


def console() -> Console:
    """Return the console of stdout."""
    return Console(highlight=False, soft_wrap=True)


def progress_console() -> Console:
    """Return the console of stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a line about the work."""
    progress_console().print(escape(text), style="dim")


def fail(text: str) -> int:
    """Print an error as one line and return the exit code 1."""
    line = " ".join(text.split())
    progress_console().print(f"[bold red]error:[/bold red] {escape(line)}")
    return 1


def print_json(value: Any) -> None:
    """Print one line of JSON."""
    sys.stdout.write(orjson.dumps(value).decode() + "\n")
    sys.stdout.flush()
