"""What ``inferencekey up`` does: serve until told to stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from inferencekey.cli.env_exports import Exports
from inferencekey.cli.output import console, note, print_json, progress_console
from inferencekey.cli.signals import on_signal
from inferencekey.local import LocalPlatform

__all__ = ["serve", "stopped"]


async def serve(host: str, port: int, data: Path | None, project: str, json: bool) -> None:
    """Run a platform until Ctrl-C, SIGTERM or a closed terminal."""
    async with stopped() as told, LocalPlatform(data_dir=data, host=host, port=port) as platform:
        if platform.exposed:
            progress_console().print(
                f"[bold yellow]warning:[/bold yellow] listening on {host}: other machines can reach this platform, "
                "which runs programs on this one. Only its tokens keep them out."
            )
        exports = Exports.mint(platform, project)
        if json:
            print_json(exports.to_dict(), secret=True)
        else:
            out = console()
            note(
                f"inferencekey is up at {exports.base_url}, data in {platform.data_dir}. Paste this where you work:"
            )
            out.print(exports.shell(), markup=False)
            note("Ctrl-C stops it; workloads and tokens are kept.")
        await told.wait()
        if not json:
            note("stopping")


@asynccontextmanager
async def stopped() -> AsyncGenerator[anyio.Event]:
    """Give an event that Ctrl-C, SIGTERM and a closed terminal set, from before the start until everything has stopped."""
    event = anyio.Event()
    with on_signal(event.set):
        yield event
