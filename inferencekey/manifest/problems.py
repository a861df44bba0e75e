"""What is wrong with a manifest: every mistake, with its file and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from inferencekey.errors import ValidationError
from inferencekey.printable import printable, shown

__all__ = ["ManifestError", "ManifestProblem"]


@attrs.frozen
class ManifestProblem:
    """One mistake.

    Args:
        path: the file, or the directory if the problem is in no single file.
        line: the line, counted from 1; ``None`` if the problem is not in a line.
        message: what is wrong and what to write instead; tokens in it are redacted.
    """

    path: Path
    line: int | None
    message: str = attrs.field(converter=shown)

    def __str__(self) -> str:
        path = printable(str(self.path))
        place = path if self.line is None else f"{path}:{self.line}"
        return f"{place}: {self.message}"


class ManifestError(ValidationError):
    """A manifest has mistakes. The text has all of them, one per line: ``file:line: message``.

    Attributes:
        problems: all of them, by file and line.
    """

    problems: tuple[ManifestProblem, ...]

    def __init__(
        self, message: str = "", *, problems: Sequence[ManifestProblem] = (), **response: Any
    ) -> None:
        super().__init__(message or "\n".join(map(str, problems)), **response)
        self.problems = tuple(problems)
