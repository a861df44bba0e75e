"""Options that several commands take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar, cast, get_type_hints

import typer
from typer.models import ArgumentInfo

from inferencekey.cli.printing.failures import CommandError
from inferencekey.printable import surrogate_in

__all__ = [
    "BaseUrl",
    "DataDir",
    "Json",
    "ManifestPath",
    "Project",
    "Prune",
    "Slug",
    "Yes",
    "only_text",
]

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="The platform's data directory; by default this user's own."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ManifestPath = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE|DIR",
        help="The manifest, or a directory of manifests; by default inferencekey.toml, .yaml, "
        ".yml or .json in this directory.",
    ),
]
Project = Annotated[
    str | None,
    typer.Option("--project", metavar="NAME", help="The project; by default INFERENCEKEY_PROJECT."),
]
Prune = Annotated[
    bool,
    typer.Option(
        "--prune",
        help="Also remove workloads that an earlier apply of this manifest created, and that it no "
        "longer declares.",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url", metavar="URL", help="The platform; by default INFERENCEKEY_BASE_URL."
    ),
]
Slug = Annotated[
    str, typer.Argument(metavar="SLUG", help="The slug of the workload, in any spelling.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

P = ParamSpec("P")
R = TypeVar("R")


def only_text(command: Callable[P, R]) -> Callable[P, R]:
    """Refuse the arguments of a command that are not text, before it begins.

    Python gives bytes of the command line that are not UTF-8 as halves of characters. Only the name
    of a file may have them: everything else goes into a URL, a header or a file in UTF-8.
    """

    @functools.wraps(command)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in kwargs.items():
            texts = cast("list[object]", value) if isinstance(value, list) else [value]
            for text in texts:
                if isinstance(text, str) and surrogate_in(text):
                    raise CommandError(
                        f"{_shown_name(command, name)} must be text in UTF-8; got {text!r}"
                    )
        return command(*args, **kwargs)

    return checked


def _shown_name(command: Callable[..., object], name: str) -> str:
    """Return how the help calls a parameter of a command."""
    hint = get_type_hints(command, include_extras=True)[name]
    for info in getattr(hint, "__metadata__", ()):
        if isinstance(info, ArgumentInfo):
            return str(info.metavar or name.upper())
    return f"--{name.replace('_', '-')}"
