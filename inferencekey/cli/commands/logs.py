"""``inferencekey logs``: the log of a workload's engine."""

from __future__ import annotations

from typing import Annotated

import typer

from inferencekey.cli.options import BaseUrl, Json, Project, Slug

__all__ = ["logs"]

POLL_SECONDS = 0.5


def logs(
    slug: Slug,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", help="The last N lines.", min=1, max=1000)
    ] = 100,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Print new lines as they are written, until Ctrl-C."),
    ] = False,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Print the log of a workload's engine, if the platform offers logs. The local platform does.

    With --json, each line is an object of `lines`, `next` (where the following lines begin) and
    `engine`. Ctrl-C ends --follow with exit code 0.
    """
    import anyio

    from inferencekey.cli.connect import connect, project_of
    from inferencekey.cli.printing.output import note, print_json, print_lines
    from inferencekey.cli.printing.streams import is_read as stdout_is_read
    from inferencekey.models import EngineLog
    from inferencekey.printable import without_escape_sequences

    def show(log: EngineLog) -> bool:
        """Print a part of the log; say whether the reader of stdout is still there."""
        if json:
            return print_json({"lines": list(log.lines), "next": log.next, "engine": log.engine})
        if not log.lines:
            return True
        return print_lines(without_escape_sequences(line).expandtabs() for line in log.lines)

    async def read() -> None:
        async with connect(base_url, project) as mgmt:
            project_name = project_of(mgmt)
            log = await mgmt.logs(slug, project=project_name, lines=lines)
            is_read = show(log)
            if not (log.lines or json):
                note("the engine has written nothing yet")
            while follow and is_read:
                await anyio.sleep(POLL_SECONDS)
                log = await mgmt.logs(slug, project=project_name, lines=1000, after=log.next)
                is_read = show(log) if log.lines else stdout_is_read()

    try:
        anyio.run(read)
    except KeyboardInterrupt:
        if not follow:
            raise
