"""``inferencekey up``: run the local platform until it is told to stop."""

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
        str, typer.Option(metavar="NAME", help="The project of the printed tokens.")
    ] = "local",
    json: Json = False,
) -> None:
    """Run the platform on this machine, both planes with real engines, and print the exports to paste.

    Everything is kept in the data directory and is there again the next time; earlier tokens stay valid until revoked.
    """
    import anyio

    from inferencekey._core.slugs import checked_project
    from inferencekey.cli.loops import serving_loop
    from inferencekey.cli.serving import serve

    anyio.run(
        serve, host, port, data, checked_project(project), json, backend_options=serving_loop()
    )
