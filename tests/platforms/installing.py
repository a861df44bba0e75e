"""Installs small real programs on the `PATH`, under the names of engine programs."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

__all__ = ["install"]

PROGRAMS = Path(__file__).parents[1] / "local" / "programs"


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, **programs: str) -> None:
    """Install programs and allow the platform to run them.

    Args:
        folder: where to put the programs; it is added to the `PATH`.
        programs: for each program's name (with `_` for `-`), a script of `programs/` and its first
            arguments.
    """
    folder.mkdir(exist_ok=True)
    for name, line in programs.items():
        script, *arguments = shlex.split(line)
        words = [sys.executable, str(PROGRAMS / script), *arguments]
        program = folder / name.replace("_", "-")
        program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        program.chmod(0o755)
    if str(folder) not in os.environ["PATH"].split(os.pathsep):
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("INFERENCEKEY_LOCAL_PROGRAMS", "1")
