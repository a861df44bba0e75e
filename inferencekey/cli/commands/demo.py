"""``inferencekey demo``: the main job, from nothing to streamed tokens, on this machine."""

from __future__ import annotations

import signal
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
    """Start a local platform, provision a workload, stream an answer from a real model, and clean up.

    The first run downloads the models (180 MB) into the user's cache; later runs take seconds.
    """
    import anyio

    from inferencekey.cli.demo import Tour
    from inferencekey.cli.signals import unless_ignored

    # They end it as Ctrl-C does, so that the platform inside is taken down in order.
    for number in filter(unless_ignored, (signal.SIGTERM, signal.SIGHUP)):
        signal.signal(number, _as_ctrl_c)
    if data is not None:
        anyio.run(Tour(data, keep, json).run)
        return
    with tempfile.TemporaryDirectory(prefix="inferencekey-demo-") as folder:
        anyio.run(Tour(Path(folder), keep, json).run)


def _as_ctrl_c(number: int, frame: object) -> None:
    signal.raise_signal(signal.SIGINT)
