"""Starting one stand-in: its model is fetched, then its program is started."""

from __future__ import annotations

import asyncio
import site
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from inferencekey.config import ENGINE_KEY
from inferencekey.local.defaults import usable_cpus
from inferencekey.local.engines.engine import OnStep
from inferencekey.local.engines.environment import engine_environment
from inferencekey.local.engines.process import EngineProcess
from inferencekey.local.engines.stand_ins.kinds import SLOTS, Recipe
from inferencekey.local.engines.stand_ins.model_files import ensure_model
from inferencekey.local.engines.stand_ins.model_table import Model

__all__ = ["PROGRAM", "fetch_model", "start", "thread_count", "user_packages"]

HEALTHY_SECONDS: Final = 60.0
MAX_THREADS: Final = 8
PROGRAM: Final = Path(__file__).parent / "llamacpp_server.py"


async def start(
    recipe: Recipe,
    *,
    folder: Path,
    log: Path,
    api_key: str,
    cache_dir: Path | None,
    on_step: OnStep,
    on_started: Callable[[EngineProcess], None],
) -> EngineProcess:
    """Fetch the model, start a process, and return it once it is healthy.

    Args:
        recipe: the kind of stand-in.
        folder: the working directory of the process.
        log: the file that the process writes to.
        api_key: what the process will expect of its callers.
        cache_dir: where models are kept; default: the user's cache.
        on_step: receives progress.
        on_started: called when the process runs, before it is healthy.

    Raises:
        ModelFetchError: the model cannot be fetched.
        EngineError: the process cannot be started or does not become healthy.
    """
    model = recipe.model
    path = await fetch_model(model, cache_dir, on_step)
    on_step("bootstrapping", f"starting xllamacpp with {model.name}", None)
    process = EngineProcess(
        _command(recipe, path),
        folder=folder,
        log=log,
        env=engine_environment(folder, {ENGINE_KEY.name: api_key, **user_packages()}),
        name=f"the stand-in {model.name}",
    )
    await process.start()
    try:
        on_started(process)
        await process.wait_healthy(HEALTHY_SECONDS)
    except BaseException:
        await process.stop(grace=0)
        raise
    return process


def _command(recipe: Recipe, model_file: Path) -> list[str]:
    # By path, not by `-m`: a path works from any working directory, and imports nothing of ours.
    # `-P` keeps the program's folder off the module path, where a file with the name of a library
    # module would shadow that module.
    options = {
        "--model": str(model_file),
        "--alias": recipe.model.name,
        "--parallel": str(SLOTS),
        "--ctx": str(recipe.context),
        "--threads": str(thread_count()),
    }
    words = [word for option in options.items() for word in option]
    return [sys.executable, "-P", str(PROGRAM), *words, *recipe.options]


async def fetch_model(model: Model, cache_dir: Path | None, on_step: OnStep) -> Path:
    """Return the model's file, fetched in a thread; *on_step* is called in the event loop.

    Cancelling this ends the download.
    """
    loop = asyncio.get_running_loop()
    cancel = threading.Event()
    last_percent = -1

    def on_progress(received: int, total: int) -> None:
        nonlocal last_percent
        percent = 100 * received // total
        if percent != last_percent:
            last_percent = percent
            message = f"downloading {model.name}: {received / 1e6:.0f} of {total / 1e6:.0f} MB"
            loop.call_soon_threadsafe(on_step, "provisioning", message, f"download {percent} %")

    fetching = asyncio.ensure_future(
        asyncio.to_thread(
            ensure_model, model, cache_dir=cache_dir, on_progress=on_progress, cancel=cancel
        )
    )
    try:
        return await asyncio.shield(fetching)
    except asyncio.CancelledError:
        # A thread cannot be cancelled: it sees the event, and is waited for.
        cancel.set()
        await asyncio.wait([fetching])
        fetching.exception()
        raise


def thread_count() -> int:
    """Return how many threads an engine uses; a small model is not faster with more than 8."""
    return min(usable_cpus(), MAX_THREADS)


def user_packages() -> dict[str, str]:
    """Return the variable that says where ``pip install --user`` puts packages.

    Without it, Python would look for them in the engine's own home.
    """
    return {"PYTHONUSERBASE": site.getuserbase()} if site.ENABLE_USER_SITE else {}
