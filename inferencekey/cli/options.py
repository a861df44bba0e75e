"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["BaseUrl", "DataDir", "Json", "ManifestPath", "Project", "Prune", "Slug", "Yes"]

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
