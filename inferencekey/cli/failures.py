"""How a command fails: lines on stderr, with ``--json`` an object on stdout as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from inferencekey.cli.output import ignore_closed_stderr, plain_text, print_json, progress_console
from inferencekey.errors import (
    DriftError,
    InferenceKeyError,
    ReadinessError,
    ReadinessTimeout,
)

__all__ = ["SHOWN", "CommandError", "SeveralErrors", "error_dict", "fail"]


SHOWN = 20
"""How many errors of one kind are printed for people; JSON has all."""


class CommandError(InferenceKeyError):
    """What only the command line knows to be wrong.

    Attributes:
        exit_code: what the command exits with.
        report: what goes beside the error into its JSON.
    """

    exit_code: int = 1
    report: Any = None


class SeveralErrors(CommandError):
    """More than one thing went wrong.

    Attributes:
        errors: what went wrong, by whom it happened to.
    """

    errors: Mapping[str, Exception]

    def __init__(self, message: str = "", errors: Mapping[str, Exception] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or {}


def fail(error: BaseException, *, json: bool) -> int:
    """Say what went wrong and return the exit code."""
    if json:
        report = getattr(error, "report", None)
        content: dict[str, Any] = {} if report is None else report.to_dict()
        print_json({**content, "error": error_dict(error)})
    with ignore_closed_stderr():
        out = progress_console()
        first, *others = _lines(error)
        out.print("error:", style="bold red", end=" ")
        out.print(plain_text(first), markup=False)
        for line in others:
            out.print(plain_text(line), markup=False)
    return error.exit_code if isinstance(error, CommandError) else 1


def error_dict(error: BaseException, *, log: bool = True) -> dict[str, Any]:
    """Return an error as JSON-able values: its class, its text, and what it carries; the engine's log if *log* says so."""
    found: dict[str, Any] = {"type": type(error).__name__, "message": plain_text(_text(error))}
    for name in ("status", "code", "request_id", "retry_after"):
        value = getattr(error, name, None)
        if value is not None:
            found[name] = value
    problems = _problems(error)
    if problems:
        found["problems"] = [
            {
                "path": str(problem.path),
                "line": problem.line,
                "message": plain_text(problem.message),
            }
            for problem in problems
        ]
    if log and isinstance(error, ReadinessError | ReadinessTimeout) and error.log:
        found["log"] = [plain_text(line) for line in error.log]
    # The dictionary of a report has the errors already.
    if isinstance(error, SeveralErrors) and error.report is None:
        found["errors"] = {name: error_dict(inner) for name, inner in error.errors.items()}
    if isinstance(error, DriftError) and error.plan is not None:
        found["plan"] = error.plan.to_dict()
    return found


def _problems(error: BaseException) -> tuple[Any, ...]:
    """Return the problems of a ``ManifestError``; the class is not loaded for it."""
    problems: Iterable[Any] = getattr(error, "problems", ())
    return tuple(problems)


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ReadinessError | ReadinessTimeout):
        # The engine's log is printed once, line by line.
        return error.summary
    return str(error)


def _lines(error: BaseException) -> list[str]:
    """One line for an error; a manifest's problems, a group's errors and an engine's last words have one each."""
    problems = [" ".join(str(problem).split()) for problem in _problems(error)]
    if len(problems) > 1:
        return [f"the manifest has {len(problems)} mistakes", *problems]
    if problems:
        return problems
    lines = [" ".join(_text(error).split()) or type(error).__name__]
    if isinstance(error, ReadinessError | ReadinessTimeout):
        lines.extend(f"    {line}" for line in error.log)
    if isinstance(error, SeveralErrors):
        for name, inner in islice(error.errors.items(), SHOWN):
            first, *others = _lines(inner)
            lines.append(f"  {name}: {first}")
            lines.extend(f"  {line}" for line in others)
        if len(error.errors) > SHOWN:
            lines.append(f"  … and {len(error.errors) - SHOWN} more; --json has all")
    return lines
