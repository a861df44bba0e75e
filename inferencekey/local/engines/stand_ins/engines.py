"""The stand-in engines: small real models that serve any workload whose own program is not installed here."""

from __future__ import annotations

import asyncio
import enum
import secrets
import site
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from inferencekey.local.defaults import usable_cpus
from inferencekey.local.engines.environment import engine_environment
from inferencekey.local.engines.process import EngineProcess
from inferencekey.local.engines.shared_engine import Lease, OnStep, SharedEngine
from inferencekey.local.engines.stand_ins.model_files import ensure_model
from inferencekey.local.engines.stand_ins.model_table import MINILM, SMOLLM2, Model
from inferencekey.local.errors import EngineError
from inferencekey.local.records import EngineRecord

__all__ = ["Engine", "Kind", "OnStep", "StandInEngines", "kind_for", "no_stand_in"]

HEALTHY_SECONDS = 60.0
MOST_THREADS = 8
PROGRAM = Path(__file__).parent / "llamacpp_server.py"


class Kind(enum.Enum):
    """What a stand-in can do."""

    CHAT = "chat"
    EMBEDDING = "embedding"


@frozen
class Recipe:
    """How one stand-in is run.

    Attributes:
        model: what it loads.
        options: for the engine's program. Each of the 4 requests at once has a quarter of the context: a context
            shared by all takes less memory, but answers 500 in the middle of a text when several are long.
    """

    model: Model
    options: tuple[str, ...]


SLOTS = 4
RECIPES = {
    Kind.CHAT: Recipe(SMOLLM2, ("--parallel", str(SLOTS), "--ctx", "8192")),
    Kind.EMBEDDING: Recipe(MINILM, ("--embedding", "--parallel", str(SLOTS), "--ctx", "2048")),
}

KIND_OF_TASK = {
    "text2text": Kind.CHAT,
    "omni": Kind.CHAT,
    "embedding": Kind.EMBEDDING,
    "reranker": Kind.EMBEDDING,
}


def kind_for(task_type: str) -> Kind | None:
    """Which stand-in serves a task type; None: none does."""
    return KIND_OF_TASK.get(task_type)


def no_stand_in(task_type: str) -> str:
    """The message for a workload that no stand-in can serve."""
    return f"no stand-in engine serves {task_type} on this machine; the stand-ins serve {', '.join(KIND_OF_TASK)}"


@frozen(eq=False)
class Engine:
    """A running stand-in, as one user holds it.

    Attributes:
        address: `http://127.0.0.1:PORT`.
        api_key: what it wants as `Authorization: Bearer …`.
        model_name: which model really answers.
        kind: what it can do.
        replica: which of its kind's processes it is, from 0.
        exited: set when its process has ended; release it then, and acquire again.
    """

    address: str
    api_key: str
    model_name: str
    kind: Kind
    replica: int
    exited: asyncio.Event
    _lease: Lease

    @property
    def slots(self) -> int:
        """How many requests it computes at once."""
        return SLOTS

    @property
    def installed(self) -> bool:
        """Whether it is a program of this machine's own."""
        return False

    @property
    def streams_only(self) -> bool:
        """Whether it stops computing when a stream is closed, and at nothing else."""
        return True

    def describe_exit(self) -> str:
        """How the process ended, with its last words, in one line."""
        return self._lease.process.describe_exit()


class StandInEngines:
    """The stand-ins of one platform: one process for each model and replica, shared by all workloads that need it.

    Args:
        data_dir: the platform's data directory; engines live in `engines/`, their logs in `logs/`.
        cache_dir: where models are kept; default: the user's cache.
        linger: seconds an engine is kept after its last user has gone.
        on_started: told of each process as soon as it runs, so that the next start can reap it (`reap.py`).
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        cache_dir: Path | None = None,
        linger: float = 5.0,
        on_started: Callable[[EngineRecord], None] | None = None,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._cache_dir = cache_dir
        self._on_started = on_started
        self._linger = linger
        self._api_key = secrets.token_hex(32)
        self._closed = False
        self._shared: dict[tuple[Kind, int], SharedEngine] = {}
        self._log_starts: dict[tuple[Kind, int], int] = {}

    async def acquire(self, kind: Kind, on_step: OnStep, replica: int = 0) -> Engine:
        """Return the running engine; fetch its model and start it first, where needed.

        Args:
            kind: what it must be able to do.
            on_step: called in the event loop with a readiness phase (`provisioning`, then `bootstrapping`), a message,
                and a step or None; never after this has returned.
            replica: which of several processes of the kind, from 0.

        Raises:
            ModelFetchError: its model cannot be had.
            EngineError: it cannot be started, or died too often.
        """
        shared = self._shared.get((kind, replica))
        if shared is None:
            shared = self._shared[kind, replica] = self._share(kind, replica)
        lease = await shared.acquire(on_step)
        process = lease.process
        if process.address is None:
            raise EngineError(f"{process.name} has no address")
        return Engine(
            process.address,
            self._api_key,
            RECIPES[kind].model.name,
            kind,
            replica,
            process.exited,
            lease,
        )

    def release(self, engine: Engine) -> None:
        """Give an engine back; a second time is nothing."""
        self._shared[engine.kind, engine.replica].release(engine._lease)

    def model(self, kind: Kind) -> str:
        """The name of the model that a kind answers with."""
        return RECIPES[kind].model.name

    def log(self, kind: Kind, replica: int = 0) -> Path:
        """The file that an engine writes to: of each kind's first, `KIND.log`."""
        return self._data_dir / "logs" / f"{_process_name(kind, replica)}.log"

    def log_start(self, kind: Kind, replica: int = 0) -> int:
        """Where in that file the process begins that was started last; those before it may have been others' alone."""
        return self._log_starts.get((kind, replica), 0)

    async def aclose(self) -> None:
        """Stop all engines, whoever uses them, and start none again."""
        self._closed = True
        await asyncio.gather(*(shared.aclose() for shared in self._shared.values()))

    def _share(self, kind: Kind, replica: int) -> SharedEngine:
        name = f"the stand-in {RECIPES[kind].model.name}"
        if self._closed:
            raise EngineError(f"{name} is shut down")

        async def launch(tell: OnStep) -> EngineProcess:
            return await self._launch(kind, replica, tell)

        return SharedEngine(launch, name=name, linger=self._linger)

    async def _launch(self, kind: Kind, replica: int, tell: OnStep) -> EngineProcess:
        recipe = RECIPES[kind]
        path = await model_path(recipe.model, self._cache_dir, tell)
        tell("bootstrapping", f"starting xllamacpp with {recipe.model.name}", None)
        # By path, not by `-m`: it finds itself from any working directory, and loads nothing of ours.
        # `-P` keeps its folder off the module path, where a file named like a module of the library would shadow it.
        command = [
            sys.executable,
            "-P",
            str(PROGRAM),
            "--model",
            str(path),
            "--alias",
            recipe.model.name,
        ]
        folder = self._data_dir / "engines" / _process_name(kind, replica)
        process = EngineProcess(
            [*command, *recipe.options, "--threads", str(thread_count())],
            folder=folder,
            log=self.log(kind, replica),
            env=engine_environment(
                folder, {"INFERENCEKEY_ENGINE_KEY": self._api_key, **user_packages()}
            ),
            name=f"the stand-in {recipe.model.name}",
        )
        await process.start()
        self._log_starts[kind, replica] = process.log_start
        try:
            if self._on_started is not None:
                self._on_started(process.record)
            await process.wait_healthy(HEALTHY_SECONDS)
        except BaseException:
            await process.stop(grace=0)
            raise
        return process


def _process_name(kind: Kind, replica: int) -> str:
    return kind.value if replica == 0 else f"{kind.value}-{replica}"


async def model_path(model: Model, cache_dir: Path | None, tell: OnStep) -> Path:
    """The model's file, fetched in a thread; `tell` is called in the event loop. Cancelling ends the download."""
    loop = asyncio.get_running_loop()
    cancel = threading.Event()
    told = -1

    def on_progress(received: int, total: int) -> None:
        nonlocal told
        percent = 100 * received // total
        if percent != told:
            told = percent
            message = f"downloading {model.name}: {received / 1e6:.0f} of {total / 1e6:.0f} MB"
            loop.call_soon_threadsafe(tell, "provisioning", message, f"download {percent} %")

    fetching = asyncio.ensure_future(
        asyncio.to_thread(
            ensure_model, model, cache_dir=cache_dir, on_progress=on_progress, cancel=cancel
        )
    )
    try:
        return await asyncio.shield(fetching)
    except asyncio.CancelledError:
        cancel.set()
        await asyncio.wait([fetching])
        fetching.exception()
        raise


def thread_count() -> int:
    """As many threads as there are processors for us; a small model gains nothing from more than 8."""
    return min(usable_cpus(), MOST_THREADS)


def user_packages() -> dict[str, str]:
    """Where `pip install --user` puts packages: Python would look for them in the engine's own home."""
    return {"PYTHONUSERBASE": site.getuserbase()} if site.ENABLE_USER_SITE else {}
