"""How the commands print.

Results go to stdout; progress, notes and errors go to stderr. Only a terminal gets colours.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from inferencekey.credentials import redact
from inferencekey.errors import InferenceKeyError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "console",
    "ignore_closed_stderr",
    "note",
    "plain_text",
    "print_bytes",
    "print_json",
    "print_text",
    "progress_console",
    "warning",
]

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def console() -> Console:
    """Return the console of stdout."""
    from rich.console import Console

    class Results(Console):
        def on_broken_pipe(self) -> None:
            # rich's own method would end the command in the middle of its work.
            _reader_left()

    return Results(highlight=False, soft_wrap=True)


def progress_console() -> Console:
    """Return the console of stderr."""
    from rich.console import Console

    class Progress(Console):
        def on_broken_pipe(self) -> None:
            # rich's own method would end the command and close stdout.
            raise BrokenPipeError

    return Progress(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a line about the work on stderr; a closed stderr is not an error."""
    with ignore_closed_stderr():
        progress_console().print(plain_text(text), style="dim", markup=False)


def warning(text: str) -> None:
    """Print a warning as one line on stderr; a closed stderr is not an error."""
    with ignore_closed_stderr():
        out = progress_console()
        out.print("warning:", style="bold yellow", end=" ")
        out.print(plain_text(" ".join(text.split())), markup=False)


@contextmanager
def ignore_closed_stderr() -> Generator[None]:
    """Go on without stderr if its reader has closed it."""
    try:
        yield
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the end)


def plain_text(text: str) -> str:
    """Return *text* without escape sequences, control characters and credentials.

    The text may come from a server: an escape sequence in it could change the terminal.
    """
    return redact(_CONTROLS.sub("", _ESCAPES.sub("", text)))


def print_text(text: str, *, secret: bool = False) -> bool:
    """Print a result as it is, whatever the terminal's width.

    Args:
        text: the result.
        secret: print credentials in it, which are redacted otherwise.

    Returns:
        Whether the reader of stdout is still there.
    """
    return _write((text if secret else plain_text(text)) + "\n")


def print_bytes(data: bytes) -> None:
    """Print a document, byte for byte."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_left()


def print_json(value: Any, *, secret: bool = False) -> bool:
    """Print one line of JSON.

    Args:
        value: what to print.
        secret: print credentials in it, which are redacted otherwise.

    Returns:
        Whether the reader of stdout is still there.

    Raises:
        InferenceKeyError: a value that a server sent is nested too deeply.
    """
    import orjson

    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise InferenceKeyError(
            f"the platform's response cannot be printed as JSON: {error}"
        ) from None
    # After the encoding: no character of a redacted token is escaped in JSON.
    return _write((text if secret else redact(text)) + "\n")


def _write(text: str) -> bool:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_left()
        return False
    return True


def _reader_left() -> None:
    """Discard all further output: a reader that stops, such as ``head``, is not an error."""
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the end)
    with suppress(OSError):  # stdout may have no file descriptor
        # Python writes what it has buffered at exit, to the old descriptor.
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    sys.stdout = nowhere
