"""``inferencekey up``: run the local platform until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio
import typer

from inferencekey._core.slugs import checked_project
from inferencekey.cli.exports import Exports
from inferencekey.cli.options import DataDir, Json
from inferencekey.cli.output import console, note, print_json, progress_console
from inferencekey.local import LocalPlatform
from inferencekey.local.defaults import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_PROJECT

__all__ = ["stopped", "up"]


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option(metavar="PORT", help="The port; 0 takes a free one.", min=0, max=65535)
    ] = DEFAULT_PORT,
    data: DataDir = None,
    project: Annotated[str, typer.Option(metavar="NAME", help="The project of the printed tokens.")] = DEFAULT_PROJECT,
    json: Json = False,
) -> None:
    """Run the platform on this machine, both planes with real engines, and print the exports to paste.

    Everything is kept in the data directory and is there again the next time; earlier tokens stay valid until revoked.
    """
    anyio.run(_serve, host, port, data, checked_project(project), json)


async def _serve(host: str, port: int, data: Path | None, project: str, json: bool) -> None:
    async with stopped() as told, LocalPlatform(data_dir=data, host=host, port=port) as platform:
        if platform.exposed:
            progress_console().print(
                f"[bold yellow]warning:[/bold yellow] listening on {host}: other machines can reach this platform, "
                "which runs programs on this one. Only its tokens keep them out."
            )
        exports = Exports.mint(platform, project)
        if json:
            print_json(exports.to_dict())
        else:
            out = console()
            note(f"inferencekey is up at {exports.base_url}, data in {platform.data_dir}. Paste this where you work:")
            out.print(exports.shell(), markup=False)
            note("Ctrl-C stops it; workloads and tokens are kept.")
        await told.wait()
        if not json:
            note("stopping")


@asynccontextmanager
async def stopped() -> AsyncGenerator[anyio.Event]:
    """Give an event that Ctrl-C, SIGTERM and a closed terminal set, from before the start until everything has stopped."""
    event = anyio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
