"""The virtual environments of the peers: one for each, at pinned versions, in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import platformdirs

PEERS: Final = {
    "official": ("inferencekey==0.260725.739",),
    "openai": ("openai[aiohttp]==3.54.0",),
    "huggingface": ("huggingface_hub==2.4.0",),
}
"""The packages of each environment. ``inferencekey`` is the official SDK from the registry."""


def cache() -> Path:
    """Return the folder of the environments: ``INFERENCEKEY_BENCH_CACHE``, or the user's cache."""
    given = os.environ.get("INFERENCEKEY_BENCH_CACHE")
    return (
        Path(given)
        if given
        else platformdirs.user_cache_path("inferencekey-benchmarks", appauthor=False)
    )


def peer_python(name: str, on_progress: Callable[[str], None]) -> str:
    """Return the interpreter of a peer's environment. Make the environment if it is missing.

    Raises:
        subprocess.CalledProcessError: pip could not install it; see its output.
    """
    wanted = PEERS[name]
    key = hashlib.sha256(repr((sys.version, sys.base_prefix, wanted)).encode()).hexdigest()[:12]
    folder = cache() / f"{name}-{key}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"
    if not done.exists():
        on_progress(f"installing {' '.join(wanted)}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted], check=True, stdout=sys.stderr)
        done.touch()
    return str(python)
