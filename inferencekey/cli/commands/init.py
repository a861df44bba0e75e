"""``inferencekey init``: a manifest to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inferencekey.cli.options import Json
from inferencekey.cli.printing.failures import CommandError

__all__ = ["init"]


def init(
    project: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The project of its workloads; by default INFERENCEKEY_PROJECT, else local.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The file; its name ends in .toml."),
    ] = Path("inferencekey.toml"),
    json: Json = False,
) -> None:
    """Write a small manifest with comments to begin with."""
    from inferencekey import config
    from inferencekey.cli.printing.output import note, print_json
    from inferencekey.manifest import starter_manifest

    name = config.setting(project, config.PROJECT_VARIABLE) or "local"
    if output.suffix != ".toml":
        raise CommandError(
            f"the name of {output} must end in .toml (`inferencekey export` also writes YAML and "
            "JSON)"
        )
    text = starter_manifest(name)
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{output} exists; it was not changed") from None
    if json:
        print_json({"written": str(output)})
    else:
        note(f"wrote {output}; `inferencekey plan` shows what it would change")
