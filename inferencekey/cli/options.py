"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DataDir", "Json"]

DataDir = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The platform's data directory; by default this user's own."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
