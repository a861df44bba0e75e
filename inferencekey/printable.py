"""What may be shown of a text that came from somewhere else.

A name, a message or a log line of a server, an engine or a file may contain escape sequences, which
change a terminal, line breaks, which make a line that nobody of us wrote, and marks that turn the
direction of a text, so that a reader sees something else than what is there. Everything that
prints, logs or raises such a text passes it through a function of this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from inferencekey.credentials import redact

__all__ = [
    "INVALID_UNICODE",
    "escaped",
    "one_line",
    "printable",
    "printable_lines",
    "shown",
    "surrogate_in",
    "surrogate_paths",
    "without_escape_sequences",
]

# Control characters (C0, DEL, C1); the marks, embeddings, overrides and isolates of text direction;
# Unicode's line and paragraph separators; characters that have no width; halves of characters.
# Joiners (U+200C and U+200D) stay, because emoji and Persian are written with them.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
INVALID_UNICODE: Final = "invalid Unicode (a lone surrogate)"
"""What is wrong with a text in which :func:`surrogate_in` finds one."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# ECMA-48: control sequences, such as colours; strings, such as titles and links; the other
# functions of two bytes. Each may also begin with a C1 character in the place of ESC and a letter.
_ESCAPE_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\r\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)


def escaped(text: str) -> str:
    """Return each character as the escape that Python writes for it, such as ``\\x1b``."""
    return text.encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    """Return *text* as one line, with escapes for the characters that must not be shown.

    It is for values, such as a name: nothing of them is lost.
    """
    return _UNSAFE.sub(lambda match: escaped(match[0]), text)


def printable_lines(text: str) -> str:
    """Return *text* with its line breaks (``\\n``), and else as :func:`printable` does."""
    return "\n".join(map(printable, text.split("\n")))


def one_line(text: str) -> str:
    """Return a sentence as one line: white space and control characters become single spaces.

    It is for messages: escape sequences, which only change how a terminal shows them, are left out.
    """
    return printable(" ".join(_CONTROLS.sub(" ", without_escape_sequences(text)).split()))


def without_escape_sequences(text: str) -> str:
    """Return *text* without the sequences that terminals act on, such as colours."""
    return _ESCAPE_SEQUENCE.sub("", text)


def shown(text: str) -> str:
    """Return *text* as one line, without escape sequences, and with its tokens redacted.

    The other characters that must not be shown are escaped, as :func:`printable` does. Inside a
    token they would hide the rest of it from the redaction: where there is a token, they are left
    out.
    """
    plain = without_escape_sequences(text)
    # ESC and the first letter of a token are a sequence, too: the token must not lose that letter.
    bare = max(_UNSAFE.sub("", plain), _UNSAFE.sub("", text), key=_count_tokens)
    redacted = redact(bare)
    return printable(redact(plain)) if redacted == bare else redacted


def _count_tokens(text: str) -> int:
    return sum(map(text.count, ("ik_live_", "ik_sdk_")))


def surrogate_in(text: str) -> bool:
    """Return whether a text has half a character (a lone surrogate), which UTF-8 cannot write.

    JSON's and YAML's escapes can make one, and so does Python for a byte of the environment or the
    command line that is not UTF-8.
    """
    return _SURROGATE.search(text) is not None


def surrogate_paths(
    value: object, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every string in a value of JSON that has half a character, keys too.

    Args:
        value: the value.
        path: the path of *value* itself.
    """
    if isinstance(value, str):
        if surrogate_in(value):
            yield path
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[object, object]", value).items():
            here = (*path, str(key))
            if surrogate_in(str(key)):
                yield here
            yield from surrogate_paths(inner, here)
    elif isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        for index, inner in enumerate(cast("Sequence[object]", value)):
            yield from surrogate_paths(inner, (*path, index))
