"""The peers' virtual environments: one for each, at pinned versions, made once, in the user's cache."""

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
"""What each environment holds. The official SDK is published under our name; it is that one which is meant."""


def cache() -> Path:
    """Return where the environments are: ``INFERENCEKEY_BENCH_CACHE``, or the user's cache."""
    given = os.environ.get("INFERENCEKEY_BENCH_CACHE")
    return (
        Path(given)
        if given
        else platformdirs.user_cache_path("inferencekey-benchmarks", appauthor=False)
    )


def peer_python(name: str, on_progress: Callable[[str], None]) -> str:
    """Return the interpreter of a peer's environment, which is made if it is not there.

    Raises:
        subprocess.CalledProcessError: pip could not install it; its output says why.
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
