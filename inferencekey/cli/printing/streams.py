"""stdout and stderr, whatever they are: any encoding, closed, full, non-blocking, without a reader.

Everything that a command prints goes through these streams, also what rich and typer print. The
rules:

* What the stream's encoding does not have is written as a similar character or an escape.
* A reader that stops early, such as ``head``, is not an error: the rest is discarded.
* An error while results are written to stdout is raised once, as an ``OSError`` for ``stdout``;
  the rest is discarded. An error on stderr is no reason to stop.
* A stream that is closed from the start is like ``/dev/null``.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from inferencekey.printable import escaped

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["flush_results", "is_read", "prepare_streams"]

_SUBSTITUTES: Final = {
    "…": "...",
    "–": "-",
    "—": "-",
    "•": "*",
    "→": "->",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}
_ERRORS: Final = "inferencekey.escape"


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(char) or escaped(char) for char in part), error.end


codecs.register_error(_ERRORS, _escape)


class _Descriptor(io.RawIOBase):
    """Writes to a file descriptor.

    Args:
        descriptor: the file descriptor; closing this object does not close it.
        name: what an error calls it; ``None``: errors are ignored.
    """

    def __init__(self, descriptor: int, name: str | None) -> None:
        super().__init__()
        self._is_read = True
        self._descriptor = descriptor
        self._name = name
        self._terminal = os.isatty(descriptor)

    def is_read(self) -> bool:
        """Return whether what is written still goes anywhere.

        A pipe says so before anything is written: a command that follows a log must not wait for
        the next line to find out that nobody will read it.
        """
        if self._is_read:
            poll = select.poll()
            poll.register(self._descriptor, 0)
            self._is_read = not poll.poll(0)  # an error, or the other end is closed
        return self._is_read

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return self._terminal

    def write(self, data: ReadableBuffer, /) -> int:
        left = memoryview(data).cast("B")
        length = len(left)
        while left and self._is_read:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                # The pipe is non-blocking, as programs that read it on an event loop make it, and
                # full. The flag belongs to the pipe and not to this process, so it stays.
                select.select([], [self._descriptor], [])
            except OSError as error:
                self._is_read = False
                # A terminal that is gone gives EIO, a pipe without a reader EPIPE.
                left_by_reader = error.errno == errno.EPIPE or (
                    error.errno == errno.EIO and self._terminal
                )
                if self._name is not None and not left_by_reader:
                    raise OSError(error.errno, error.strerror, self._name) from None
        return length


def prepare_streams() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr``, and keep the three descriptors from reuse.

    A descriptor that is closed would be given to the next file that is opened, and what is printed
    would be written into that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 (until the end)
    else:
        reconfigure: Any = getattr(sys.stdin, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # what is typed is compared with "yes"
    sys.stdout = _prepared(sys.stdout, 1, "stdout")
    sys.stderr = _prepared(sys.stderr, 2, None)


def is_read(stream: TextIO | None = None) -> bool:
    """Return whether what is written to stdout still goes anywhere."""
    raw = getattr(getattr(stream or sys.stdout, "buffer", None), "raw", None)
    return raw.is_read() if isinstance(raw, _Descriptor) else True


def flush_results() -> OSError | None:
    """Write what stdout has buffered; return the error if that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _prepared(stream: Any, descriptor: int, name: str | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return cast("TextIO", stream)
    found = cast("io.TextIOWrapper[Any]", stream)
    if _number(found) != descriptor:
        return found
    if sys.platform == "win32":  # a console is not written to as a file is
        found.reconfigure(errors=_ERRORS)
        return found
    with suppress(OSError):
        found.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(descriptor, name)),
        encoding=found.encoding,
        errors=_ERRORS,
        line_buffering=found.line_buffering,
        write_through=found.write_through,
    )


def _number(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None
