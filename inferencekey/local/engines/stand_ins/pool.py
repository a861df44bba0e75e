"""The stand-ins of one platform: one process for each kind and replica, shared by all workloads."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen

from inferencekey.local.engines.engine import OnStep
from inferencekey.local.engines.process import EngineProcess
from inferencekey.local.engines.shared_engine import Lease, SharedEngine
from inferencekey.local.engines.stand_ins.kinds import RECIPES, SLOTS, Kind
from inferencekey.local.engines.stand_ins.launch import start
from inferencekey.local.errors import EngineError
from inferencekey.local.records import EngineRecord

__all__ = ["StandIn", "StandInEngines"]


@frozen(eq=False)
class StandIn:
    """A running stand-in, as one user has it: a ``RunningEngine`` (see ``engine.py``).

    Attributes:
        address: ``http://127.0.0.1:PORT``.
        api_key: what it expects as ``Authorization: Bearer …``.
        model_name: the name of the model that it runs.
        kind: what it can do.
        replica: which of the processes of its kind it is, from 0.
        exited: set when its process has ended; release it then, and acquire again.
    """

    address: str
    api_key: str
    model_name: str
    kind: Kind
    replica: int
    exited: asyncio.Event
    _lease: Lease = field(repr=False)

    @property
    def slots(self) -> int:
        """How many requests it computes at the same time."""
        return SLOTS

    @property
    def installed(self) -> bool:
        """Whether it is a program that the user installed: it is not."""
        return False

    @property
    def streams_only(self) -> bool:
        """Whether closing a stream is the only way to stop its computation, as with llama.cpp."""
        return True

    def describe_exit(self) -> str:
        """Return one line: how the process ended, and the last lines of its log."""
        return self._lease.process.describe_exit()


class StandInEngines:
    """The stand-ins of one platform.

    Args:
        data_dir: the platform's data directory; engines live in ``engines/``, their logs in
            ``logs/``.
        cache_dir: where models are kept; default: the user's cache.
        linger: seconds that an engine is kept after its last user has released it.
        on_started: receives the record of each process as soon as it runs, so that the next start
            of the platform can kill it (see ``reap.py``).
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

    async def acquire(self, kind: Kind, on_step: OnStep, replica: int = 0) -> StandIn:
        """Return a running engine; fetch its model and start it first, if necessary.

        Args:
            kind: what it must be able to do.
            on_step: receives progress: the phases ``provisioning``, then ``bootstrapping``. It is
                never called after this method has returned.
            replica: which of several processes of the kind, from 0.

        Raises:
            ModelFetchError: its model cannot be fetched.
            EngineError: it cannot be started, or died too often.
        """
        shared = self._shared.get((kind, replica))
        if shared is None:
            shared = self._shared[kind, replica] = self._share(kind, replica)
        lease = await shared.acquire(on_step)
        process = lease.process
        if process.address is None:
            raise EngineError(f"{process.name} has no address")
        return StandIn(
            process.address,
            self._api_key,
            self.model(kind),
            kind,
            replica,
            process.exited,
            lease,
        )

    def release(self, engine: StandIn) -> None:
        """Return an engine. A second call does nothing."""
        self._shared[engine.kind, engine.replica].release(engine._lease)

    def model(self, kind: Kind) -> str:
        """Return the name of the model that a kind runs."""
        return RECIPES[kind].model.name

    def log(self, kind: Kind, replica: int = 0) -> Path:
        """Return the file that an engine writes to: ``KIND.log`` for the first of its kind."""
        return self._data_dir / "logs" / f"{_process_name(kind, replica)}.log"

    def log_start(self, kind: Kind, replica: int = 0) -> int:
        """Return the offset in that file where the newest process begins.

        Other workloads alone may have used the processes before it.
        """
        return self._log_starts.get((kind, replica), 0)

    async def aclose(self) -> None:
        """Stop all engines, even those in use, and refuse to start others."""
        self._closed = True
        await asyncio.gather(*(shared.aclose() for shared in self._shared.values()))

    def _share(self, kind: Kind, replica: int) -> SharedEngine:
        name = f"the stand-in {self.model(kind)}"
        if self._closed:
            raise EngineError(f"{name} is shut down")

        def on_started(process: EngineProcess) -> None:
            self._log_starts[kind, replica] = process.log_start
            if self._on_started is not None:
                self._on_started(process.record)

        async def launch(on_step: OnStep) -> EngineProcess:
            return await start(
                RECIPES[kind],
                folder=self._data_dir / "engines" / _process_name(kind, replica),
                log=self.log(kind, replica),
                api_key=self._api_key,
                cache_dir=self._cache_dir,
                on_step=on_step,
                on_started=on_started,
            )

        return SharedEngine(launch, name=name, linger=self._linger)


def _process_name(kind: Kind, replica: int) -> str:
    return kind.value if replica == 0 else f"{kind.value}-{replica}"
