"""``inferencekey up``: run the local platform."""

from __future__ import annotations

from typing import Annotated

import typer

from inferencekey.cli.options import DataDir, Json

__all__ = ["up"]


def up(
    # The defaults are those of inferencekey.local.defaults, which is not imported for a --help.
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
    """Run the platform on this machine, both planes with real engines, and print the exports to paste.

    Everything is kept in the data directory and is there again the next time. The tokens are printed again at the next
    start, until they are revoked; `inferencekey env` prints them for the shell that you work in.

    With --detach, `inferencekey down` stops the platform. If one runs on the data directory already, its exports are
    printed and the exit code is 0.
    """
    import anyio

    from inferencekey.cli.serve import detach as start
    from inferencekey.cli.serve import serve
    from inferencekey.config import uses_uvloop
    from inferencekey.local.defaults import DEFAULT_PROJECT
    from inferencekey.local.token_pair import checked_project

    # Before anything starts: a wrong name must not leave a platform behind.
    if project is not None:
        checked_project(project)
    if detach:
        start(host, port, data, project, json)
        return
    named = project or DEFAULT_PROJECT
    anyio.run(serve, host, port, data, named, json, backend_options={"use_uvloop": uses_uvloop()})
