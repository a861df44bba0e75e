"""How a command reports errors: lines on stderr and, with ``--json``, an object on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from inferencekey.cli.printing.output import print_json, progress_console, sentence
from inferencekey.errors import (
    DriftError,
    InferenceKeyError,
    ReadinessError,
    ReadinessTimeout,
)
from inferencekey.printable import shown, without_escape_sequences

__all__ = ["SHOWN", "CommandError", "SeveralErrors", "error_dict", "fail"]


SHOWN = 20
"""How many errors of one kind are printed as lines; JSON has all."""


class CommandError(InferenceKeyError):
    """An error that only the command line can find.

    Attributes:
        exit_code: the exit code of the command.
        report: an object with ``to_dict``, whose fields stand beside the error in JSON.
    """

    exit_code: int = 1
    report: Any = None


class SeveralErrors(CommandError):
    """Several errors of one command.

    Attributes:
        errors: the errors by the workload that each is about.
    """

    errors: Mapping[str, Exception]

    def __init__(self, message: str = "", errors: Mapping[str, Exception] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or {}


def fail(error: BaseException, *, json: bool) -> int:
    """Print an error and return the exit code."""
    if json:
        report = getattr(error, "report", None)
        content: dict[str, Any] = {} if report is None else report.to_dict()
        print_json({**content, "error": error_dict(error)})
    out = progress_console()
    first, *others = _lines(error)
    out.print("error:", style="bold red", end=" ")
    out.print(first, markup=False)
    for line in others:
        out.print(line, markup=False)
    return error.exit_code if isinstance(error, CommandError) else 1


def error_dict(error: BaseException, *, log: bool = True) -> dict[str, Any]:
    """Return an error as values for JSON: its class, its message and its attributes.

    Args:
        error: the error.
        log: include the lines of the engine's log.
    """
    found: dict[str, Any] = {"type": type(error).__name__, "message": _message(_text(error))}
    for name in ("status", "code", "request_id", "retry_after"):
        value = getattr(error, name, None)
        if value is not None:
            found[name] = value
    problems = _problems(error)
    if problems:
        found["problems"] = [
            {
                "path": shown(str(problem.path)),
                "line": problem.line,
                "message": sentence(problem.message),
            }
            for problem in problems
        ]
    if log and isinstance(error, ReadinessError | ReadinessTimeout) and error.log:
        found["log"] = [shown(line) for line in error.log]
    # The dictionary of a report has the errors already.
    if isinstance(error, SeveralErrors) and error.report is None:
        found["errors"] = {name: error_dict(inner) for name, inner in error.errors.items()}
    if isinstance(error, DriftError) and error.plan is not None:
        found["plan"] = error.plan.to_dict()
    return found


def _problems(error: BaseException) -> tuple[Any, ...]:
    """Return the problems of a ``ManifestError``, without loading that class."""
    problems: Iterable[Any] = getattr(error, "problems", ())
    return tuple(problems)


def _message(text: str) -> str:
    """Return a message whose own lines, such as a list of problems, stay lines."""
    return "\n".join(map(shown, without_escape_sequences(text).split("\n")))


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ReadinessError | ReadinessTimeout):
        # The engine's log is printed once, line by line.
        return error.summary
    return str(error)


def _lines(error: BaseException) -> list[str]:
    """Return the lines that are printed for an error.

    Each problem of a manifest, error of a group and line of an engine's log is a line of its own.
    """
    problems = [sentence(str(problem)) for problem in _problems(error)]
    if len(problems) > 1:
        return [f"the manifest has {len(problems)} mistakes", *problems]
    if problems:
        return problems
    lines = [sentence(_text(error)) or type(error).__name__]
    if isinstance(error, ReadinessError | ReadinessTimeout):
        lines.extend(f"    {shown(without_escape_sequences(line))}" for line in error.log)
    if isinstance(error, SeveralErrors):
        for name, inner in islice(error.errors.items(), SHOWN):
            first, *others = _lines(inner)
            lines.append(f"  {shown(name)}: {first}")
            lines.extend(f"  {line}" for line in others)
        if len(error.errors) > SHOWN:
            lines.append(f"  … and {len(error.errors) - SHOWN} more; --json has all")
    return lines
