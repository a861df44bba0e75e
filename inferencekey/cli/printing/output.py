"""How the commands print.

Results go to stdout; progress, notes and errors go to stderr. Only a terminal gets colours. Which
characters reach them decides ``inferencekey.printable``, and what happens when a stream cannot take
them ``streams.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from inferencekey.cli.printing.streams import is_read
from inferencekey.credentials import redact
from inferencekey.errors import InferenceKeyError
from inferencekey.printable import one_line, printable, shown, surrogate_in

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "ascii_json",
    "console",
    "note",
    "print_bytes",
    "print_columns",
    "print_json",
    "print_lines",
    "print_text",
    "progress_console",
    "sentence",
    "warning",
]


def console() -> Console:
    """Return the console of stdout."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, soft_wrap=True)


def progress_console() -> Console:
    """Return the console of stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a line about the work on stderr."""
    progress_console().print(shown(text), style="dim", markup=False)


def warning(text: str) -> None:
    """Print a warning as one line on stderr."""
    out = progress_console()
    out.print("warning:", style="bold yellow", end=" ")
    out.print(sentence(text), markup=False)


def sentence(text: str) -> str:
    """Return a message as one line, without escape sequences and credentials."""
    return shown(one_line(text))


def print_text(text: str, *, secret: bool = False) -> bool:
    """Print a result as one line, whatever the terminal's width.

    Args:
        text: the result.
        secret: print credentials in it, which are redacted otherwise.

    Returns:
        Whether the reader of stdout is still there.
    """
    return print_lines([text], secret=secret)


def print_lines(lines: Iterable[str], *, secret: bool = False) -> bool:
    """Print lines as :func:`print_text` prints one: a line break inside a line is escaped."""
    clean = printable if secret else shown
    return _write("".join(f"{clean(line)}\n" for line in lines))


def print_columns(rows: Iterable[Sequence[str]]) -> bool:
    """Print each row as one line, its cells between tabs; say whether stdout is still read."""
    return _write("".join("\t".join(map(shown, row)) + "\n" for row in rows))


def print_bytes(data: bytes) -> None:
    """Print a document, byte for byte."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def print_json(value: Any, *, secret: bool = False) -> bool:
    """Print one line of JSON, in ASCII: so every stream can take it.

    Args:
        value: what to print.
        secret: print credentials in it, which are redacted otherwise.

    Returns:
        Whether the reader of stdout is still there.

    Raises:
        InferenceKeyError: a value that a server sent is nested too deeply.
    """
    text = _json(value)
    # After the encoding: no character of a redacted token is escaped in JSON.
    return _write(ascii_json(text if secret else redact(text)) + "\n")


def ascii_json(text: str) -> str:
    """Return JSON with escapes for everything that is not ASCII, and for DEL."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(char if " " <= char < "\x7f" or char == "\n" else _unit(char) for char in text)


def _unit(char: str) -> str:
    """Return a character as JSON's escapes: two of them above U+FFFF."""
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _json(value: Any) -> str:
    import json

    import orjson

    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        # The name of a file may have bytes that are not UTF-8: halves of characters, for Python,
        # which only the standard library writes.
        if _has_surrogate(value):
            return json.dumps(value, separators=(",", ":"))
        raise InferenceKeyError(
            f"the platform's response cannot be printed as JSON: {error}"
        ) from None


def _has_surrogate(value: Any, levels: int = 8) -> bool:
    """Return whether a string in the first levels of a value has half a character."""
    if levels == 0:
        return False
    if isinstance(value, str):
        return surrogate_in(value)
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return any(_has_surrogate(part, levels - 1) for item in items for part in item)
    return isinstance(value, (list, tuple)) and any(
        _has_surrogate(part, levels - 1) for part in cast("list[Any]", value)
    )


def _write(text: str) -> bool:
    sys.stdout.write(text)
    sys.stdout.flush()
    return is_read()
