"""``inferencekey demo``: every part of the platform once, on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from inferencekey.cli.options import Json

__all__ = ["demo"]


def demo(
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the platform and its workloads running, until Ctrl-C."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="The platform's data directory; by default a temporary one.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Start a local platform, create a workload, stream a reply from a real model, and clean up.

    The first run downloads the models (180 MB) into the user's cache. Later runs take seconds.
    """
    import anyio

    from inferencekey.cli.platform.demo import Demo
    from inferencekey.cli.signals import interrupt_on_stop_signals

    # The platform inside is stopped in order by every signal that ends the command.
    interrupt_on_stop_signals()
    if data is not None:
        anyio.run(Demo(data, keep, json).run)
        return
    with tempfile.TemporaryDirectory(prefix="inferencekey-demo-") as folder:
        anyio.run(Demo(Path(folder), keep, json).run)
