"""``inferencekey export``: the live project as a manifest."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from inferencekey.cli.options import BaseUrl, Json, Project
from inferencekey.cli.printing.failures import CommandError
from inferencekey.credentials import redact

__all__ = ["export"]


class Format(StrEnum):
    """How the manifest is written."""

    TOML = "toml"
    YAML = "yaml"
    JSON = "json"


SUFFIXES = {".toml": Format.TOML, ".yaml": Format.YAML, ".yml": Format.YAML, ".json": Format.JSON}


def export(
    format: Annotated[
        Format | None,
        typer.Option("--format", help="By default the format of FILE's name, else toml."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file; by default stdout."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Write the live workloads of a project as a manifest; its plan has no changes.

    The manifest does not own them: --prune and `destroy` leave them alone. --json is the same as
    --format json, in ASCII; with -o it also prints which file was written. The name of FILE,
    --format and --json must name the same format.
    """
    import anyio

    from inferencekey.cli.connect import connect, project_of
    from inferencekey.cli.printing.output import ascii_json, note, print_bytes, print_json
    from inferencekey.manifest import dump_manifest, spec_of

    kind = _format(format, output, json)
    if output is not None and output.exists() and not force:
        raise CommandError(f"{output} exists; pass --force to overwrite it")

    async def read() -> tuple[str, int]:
        async with connect(base_url, project) as mgmt:
            name = project_of(mgmt)
            workloads = await mgmt.list_workloads(project=name)
        workloads.sort(key=lambda workload: workload.slug)
        specs = [spec_of(workload) for workload in workloads]
        return dump_manifest(name, specs, kind.value), len(specs)

    text, count = anyio.run(read)
    if redact(text) != text:
        raise CommandError(
            "a live workload contains a credential, which must not go into a manifest; "
            "nothing was written"
        )
    if output is None:
        # A manifest is UTF-8 whatever the stream's encoding is, or it could not be read back.
        print_bytes((ascii_json(text) if json else text).encode())
        return
    output.write_bytes(text.encode())
    if json:
        print_json({"written": str(output), "format": kind.value, "workloads": count})
    else:
        note(f"wrote {output}")


def _format(format: Format | None, output: Path | None, json: bool) -> Format:
    """Return the format that the options name.

    Raises:
        CommandError: they name different ones.
    """
    named: dict[str, Format] = {}
    if output is not None and output.suffix.lower() in SUFFIXES:
        named[str(output)] = SUFFIXES[output.suffix.lower()]
    if format is not None:
        named["--format"] = format
    if json:
        named["--json"] = Format.JSON
    if len(set(named.values())) > 1:
        named_formats = ", ".join(f"{option} is {kind.value}" for option, kind in named.items())
        raise CommandError(
            f"the formats differ: {named_formats}; leave one out, or rename the file"
        )
    return next(iter(named.values()), Format.TOML)
