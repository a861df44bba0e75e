"""``inferencekey up``: run the local platform."""

from __future__ import annotations

from typing import Annotated

import typer

from inferencekey.cli.options import DataDir, Json

__all__ = ["up"]


def up(
    # Copies of the defaults in inferencekey.local.defaults, which a test compares: the import would
    # make --help slow.
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", help="The port; 0 takes a free one.", min=0, max=65535)
    ] = 4747,
    data: DataDir = None,
    project: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The project of the printed tokens; by default local."),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", "-d", help="Start it in the background, and return when it serves."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Run the platform on this machine, and print the variables that programs need to use it.

    The data directory keeps the workloads and the tokens for the next start. `inferencekey env`
    prints the variables again, for the shell that you work in.

    `inferencekey down` stops the platform. If a platform already runs on the data directory,
    --detach prints the variables of that one, with exit code 0.
    """
    import anyio

    from inferencekey.cli.platform.serve import detach as start
    from inferencekey.cli.platform.serve import serve
    from inferencekey.config import uses_uvloop
    from inferencekey.local.defaults import DEFAULT_PROJECT
    from inferencekey.local.token_pair import checked_project

    # Checked before anything starts, so that a wrong name does not start a platform.
    if project is not None:
        checked_project(project)
    if detach:
        start(host, port, data, project, json)
        return
    named = project or DEFAULT_PROJECT
    anyio.run(serve, host, port, data, named, json, backend_options={"use_uvloop": uses_uvloop()})
