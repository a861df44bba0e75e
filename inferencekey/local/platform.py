"""The local platform as one object: start it, get its URL, create tokens, stop it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType

import aiohttp
import anyio
import anyio.to_thread
from aiohttp import web

from inferencekey.config import is_loopback
from inferencekey.local.background import Background
from inferencekey.local.clock import Clock
from inferencekey.local.control_plane.logs import EngineLogs
from inferencekey.local.control_plane.routes import ControlPlane
from inferencekey.local.data_dir import (
    DirectoryLock,
    create_private,
    remove_run_file,
    resolve_data_dir,
    write_run_file,
)
from inferencekey.local.data_plane.engine_client import engine_connector
from inferencekey.local.data_plane.routes import Gateway
from inferencekey.local.defaults import (
    CLOSE_SECONDS,
    DATA_BODY_BYTES,
    DEFAULT_HOST,
    DEFAULT_PORT,
    DRAIN_SECONDS,
    HOLD_SECONDS,
)
from inferencekey.local.engines.choose import EngineChooser
from inferencekey.local.engines.engine import Choose
from inferencekey.local.engines.programs.pool import InstalledPrograms
from inferencekey.local.engines.programs.selection import programs_allowed
from inferencekey.local.engines.reap import reap
from inferencekey.local.engines.stand_ins.pool import StandInEngines
from inferencekey.local.errors import PlatformError
from inferencekey.local.http.guard import Guard, add_request_id
from inferencekey.local.http.hosts import HostRules
from inferencekey.local.http.listen import BACKLOG, base_url, open_listener
from inferencekey.local.manager.manager import WorkloadManager
from inferencekey.local.platform_log import open_platform_log
from inferencekey.local.store import Store, store_path
from inferencekey.local.store.tokens import DEFAULT_SCOPES
from inferencekey.local.store.writer import Writer

__all__ = ["LocalPlatform"]


class LocalPlatform:
    """Both planes of the platform's contract on this machine, with real engines.

    Use it as an asynchronous context manager. Inside the block, it serves requests. Everything that
    it stores is in its data directory, and is there again at the next start, even if the process
    was killed.

    Args:
        data_dir: the data directory; default: this user's. Only one platform can run on it.
        host: the address to listen on. With an address that is not a loopback address, other
            machines can connect.
        port: the port to listen on; 0 selects a free port.
        cache_dir: where models are stored; default: the user's cache.
        hold: how many seconds a call waits for a workload that is not ready yet.
        drain: how many seconds running calls may continue when their engine is replaced, or when
            their workload is deleted or stopped by its schedule.
        close_seconds: how many seconds running calls may continue when the platform stops.
        max_replicas: the maximum number of engines of one workload; default: one for each
            processor, and at least 4.
        clock: the clock for schedules and everything else that takes long; default: the machine's.

    Raises:
        PlatformError: on entering the block: the data directory cannot be used or is in use, the
            port is in use, or the host is not an address of this machine.
        StoreError: on entering the block: the store cannot be read, or was written by a newer
            version.
    """

    def __init__(
        self,
        *,
        data_dir: Path | str | None = None,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        cache_dir: Path | None = None,
        hold: float = HOLD_SECONDS,
        drain: float = DRAIN_SECONDS,
        close_seconds: float = CLOSE_SECONDS,
        max_replicas: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._data_dir = resolve_data_dir(data_dir)
        self._host = host
        self._port = port
        self._cache_dir = cache_dir
        self._hold = hold
        self._drain = drain
        self._close_seconds = close_seconds
        self._max_replicas = max_replicas
        self._clock = clock
        self._base_url: str | None = None
        self._store: Store | None = None
        self._stack: AsyncExitStack | None = None

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        return self._data_dir

    @property
    def base_url(self) -> str:
        """The base URL for clients, such as ``http://127.0.0.1:4747``.

        Raises:
            PlatformError: the platform is not running.
        """
        if self._base_url is None:
            raise PlatformError("the local platform is not running")
        return self._base_url

    @property
    def exposed(self) -> bool:
        """Whether other machines can connect to it."""
        return not is_loopback(self._host)

    def mint_sdk_token(self, project: str, scopes: Iterable[str] = DEFAULT_SCOPES) -> str:
        """Return a new control token for one project.

        This method is synchronous and makes one short write to the store. You can call it in the
        event loop and from any thread.

        Raises:
            ValidationError: the project is not a slug, or a scope is unknown.
            PlatformError: the platform is not running.
        """
        return self._running_store.mint_sdk_token(project, scopes).text

    def mint_live_token(self, *grants: str) -> str:
        """Return a new data key. This method is synchronous, as :meth:`mint_sdk_token` is.

        Args:
            grants: one or more of ``PROJECT/WORKLOAD`` and ``PROJECT/*``.

        Raises:
            ValidationError: a grant has another form.
            PlatformError: the platform is not running.
        """
        return self._running_store.mint_live_token(*grants).text

    async def __aenter__(self) -> LocalPlatform:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            # Cancellation during the stop would leave engines running. Every wait of the stop has
            # its own limit.
            with anyio.CancelScope(shield=True):
                await stack.__aexit__(kind, error, trace)

    @property
    def _running_store(self) -> Store:
        if self._store is None:
            raise PlatformError("the local platform is not running")
        return self._store

    async def _start(self, stack: AsyncExitStack) -> None:
        """Start everything. Each step puts on the stack how it is undone, in reverse order."""
        for directory in (self._data_dir, self._data_dir / "logs", self._data_dir / "engines"):
            create_private(directory)
        lock = DirectoryLock(self._data_dir)
        stack.callback(lock.release)
        listener = open_listener(self._host, self._port)
        stack.callback(listener.close)
        store = self._store = Store(store_path(self._data_dir))
        stack.callback(self._forget_store, store)
        log = stack.enter_context(open_platform_log(self._data_dir / "logs" / "platform.log"))
        # The store lists engines only if the last platform was killed.
        await anyio.to_thread.run_sync(reap, store.engines())
        store.clear_engines()

        stand_ins = StandInEngines(
            self._data_dir, cache_dir=self._cache_dir, on_started=store.add_engine
        )
        programs = InstalledPrograms(
            self._data_dir,
            allowed=programs_allowed(exposed=self.exposed),
            on_started=store.add_engine,
        )
        stack.push_async_callback(_stop_engines, stand_ins, programs, store)
        choose = EngineChooser(stand_ins, programs)
        programs.keep_logs(workload.id for workload in store.workloads())
        session = await stack.enter_async_context(_engine_session())
        # The tasks use the session and the engines, so they end before these do.
        tasks = Background(log)
        stack.push_async_callback(tasks.aclose)
        manager = WorkloadManager(
            tasks,
            choose,
            store.set_statuses,
            log,
            clock=self._clock,
            drain=self._drain,
            max_replicas=self._max_replicas,
            on_forgotten=choose.forget,
        )
        manager.start(store.workloads())
        app = self._application(store, Writer(tasks), manager, choose, session, log)
        await stack.enter_async_context(_serving(app, listener, log))
        self._base_url = base_url(self._host, listener)
        stack.callback(self._forget_base_url)
        write_run_file(self._data_dir, self._base_url)
        stack.callback(remove_run_file, self._data_dir)
        log.info("started: %s, pid %d", self._base_url, os.getpid())

    def _application(
        self,
        store: Store,
        write: Writer,
        manager: WorkloadManager,
        choose: Choose,
        session: aiohttp.ClientSession,
        log: logging.Logger,
    ) -> web.Application:
        guard = Guard(HostRules(self._host, socket.gethostname()), log)
        app = web.Application(middlewares=[guard.middleware], client_max_size=DATA_BODY_BYTES)
        app.on_response_prepare.append(add_request_id)
        app.add_routes([web.get("/healthz", _healthz)])
        app.add_routes(ControlPlane(store, write, manager).routes())
        app.add_routes(EngineLogs(store, choose).routes())
        app.add_routes(Gateway(store, manager, session, hold=self._hold).routes())

        async def finish_calls(_: web.Application) -> None:
            # Closing the manager ends the calls that wait for a workload.
            manager.close()
            with anyio.move_on_after(self._close_seconds):
                await guard.wait_until_idle()

        app.on_shutdown.append(finish_calls)
        return app

    def _forget_store(self, store: Store) -> None:
        self._store = None
        store.close()

    def _forget_base_url(self) -> None:
        self._base_url = None


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _stop_engines(
    stand_ins: StandInEngines, programs: InstalledPrograms, store: Store
) -> None:
    await programs.aclose()
    await stand_ins.aclose()
    store.clear_engines()


@asynccontextmanager
async def _engine_session() -> AsyncGenerator[aiohttp.ClientSession]:
    """Give the HTTP client of the gateway. It passes requests and responses on unchanged."""
    # There is no total timeout, because the length of a generation has no limit.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(
        connector=engine_connector(),
        timeout=timeout,
        trust_env=False,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield session


@asynccontextmanager
async def _serving(
    app: web.Application, listener: socket.socket, log: logging.Logger
) -> AsyncGenerator[None]:
    # `handler_cancellation`: when a caller disconnects, its engine must stop computing.
    # `shutdown_timeout`: `finish_calls` has waited for the running calls already.
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, logger=log, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        yield
    finally:
        await runner.cleanup()
