"""One process for many users, with a small program as the engine."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inferencekey.local.engines.engine import OnStep
from inferencekey.local.engines.process import EngineProcess
from inferencekey.local.engines.shared_engine import SharedEngine
from inferencekey.local.errors import EngineError

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

TINY_ENGINE = Path(__file__).parents[1] / "programs" / "tiny_engine.py"
Step = tuple[str, str, str | None]


class Launcher:
    """Starts tiny engines with the given options, and remembers them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options: list[str] = []
        self.started: list[EngineProcess] = []
        self.any_started = asyncio.Event()

    async def __call__(self, tell: OnStep) -> EngineProcess:
        tell("bootstrapping", "starting tiny", None)
        process = EngineProcess(
            [sys.executable, str(TINY_ENGINE), *self.options],
            folder=self.folder / "engine",
            log=self.folder / "engine.log",
            name="tiny",
        )
        await process.start()
        self.started.append(process)
        self.any_started.set()
        try:
            await process.wait_healthy(20)
        except BaseException:
            await process.stop(grace=0)
            raise
        return process


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


@pytest.fixture
async def shared(launcher: Launcher, anyio_backend: str) -> AsyncIterator[SharedEngine]:
    engine = SharedEngine(launcher, name="tiny", linger=0.2, pause=0.05)
    yield engine
    await engine.aclose()
    assert all(process.exited.is_set() for process in launcher.started)


def quiet(phase: str, message: str, step: str | None) -> None:
    """Ignore progress."""


async def test_all_users_share_one_process(shared: SharedEngine, launcher: Launcher) -> None:
    leases = await asyncio.gather(*(shared.acquire(quiet) for _ in range(10)))
    late = await shared.acquire(quiet)
    assert len(launcher.started) == 1
    assert {lease.process for lease in [*leases, late]} == set(launcher.started)

    for lease in leases:
        shared.release(lease)
        shared.release(lease)
    await asyncio.sleep(0.4)
    assert not late.process.exited.is_set()
    shared.release(late)
    async with asyncio.timeout(5):
        await late.process.exited.wait()


async def test_the_last_process_lingers(shared: SharedEngine, launcher: Launcher) -> None:
    shared.release(await shared.acquire(quiet))
    again = await shared.acquire(quiet)
    await asyncio.sleep(0.4)
    assert not again.process.exited.is_set()
    shared.release(again)
    await asyncio.sleep(0.25)
    # It stops now, so a new user gets a new one.
    new = await shared.acquire(quiet)
    assert new.process is not again.process
    assert len(launcher.started) == 2
    assert not new.process.exited.is_set()


async def test_all_waiting_users_get_progress(shared: SharedEngine, launcher: Launcher) -> None:
    launcher.options = ["--loading", "0.5"]
    first: list[Step] = []
    second: list[Step] = []
    begun = asyncio.create_task(shared.acquire(lambda *step: first.append(step)))
    await asyncio.sleep(0.2)
    await shared.acquire(lambda *step: second.append(step))
    await begun
    assert first == second == [("bootstrapping", "starting tiny", None)]


async def test_cancelling_one_user_leaves_the_others(
    shared: SharedEngine, launcher: Launcher
) -> None:
    launcher.options = ["--loading", "0.5"]
    impatient = asyncio.create_task(shared.acquire(quiet))
    patient = asyncio.create_task(shared.acquire(quiet))
    await asyncio.sleep(0.2)
    impatient.cancel()
    assert not (await patient).process.exited.is_set()
    assert impatient.cancelled()
    assert len(launcher.started) == 1


async def test_cancelling_the_only_user_stops_the_start(
    shared: SharedEngine, launcher: Launcher
) -> None:
    launcher.options = ["--loading", "600"]
    only = asyncio.create_task(shared.acquire(quiet))
    await launcher.any_started.wait()
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    async with asyncio.timeout(5):
        await launcher.started[0].exited.wait()


async def test_all_users_see_a_death_and_share_one_restart(
    shared: SharedEngine, launcher: Launcher
) -> None:
    leases = [await shared.acquire(quiet), await shared.acquire(quiet)]
    os.kill(leases[0].process.pid, 9)
    steps: list[Step] = []

    async def hold_on(index: int) -> None:
        await leases[index].process.exited.wait()
        shared.release(leases[index])
        leases[index] = await shared.acquire(lambda *step: steps.append(step))

    async with asyncio.timeout(10):
        await asyncio.gather(hold_on(0), hold_on(1))
    assert len(launcher.started) == 2
    assert leases[0].process is leases[1].process is launcher.started[1]
    phase, message, step = steps[0]
    assert (phase, step) == ("bootstrapping", "restart 1 of 4")
    assert message.startswith("tiny ended with signal SIGKILL")
    assert message.endswith("; starting it again in 0.05 s")


async def test_a_start_that_fails_once_is_tried_again(
    shared: SharedEngine, launcher: Launcher, tmp_path: Path
) -> None:
    launcher.options = ["--die-once", str(tmp_path / "died")]
    lease = await shared.acquire(quiet)
    assert not lease.process.exited.is_set()
    assert [process.returncode for process in launcher.started] == [9, None]


async def test_five_deaths_in_a_row_are_an_error(shared: SharedEngine, launcher: Launcher) -> None:
    launcher.options = ["--say", "out of memory", "--exit", "7"]
    steps: list[Step] = []
    begin = time.monotonic()
    results = await asyncio.gather(
        shared.acquire(lambda *step: steps.append(step)),
        shared.acquire(quiet),
        return_exceptions=True,
    )
    assert time.monotonic() - begin >= 0.05 + 0.1 + 0.2 + 0.4
    assert len(launcher.started) == 5
    for error in results:
        assert isinstance(error, EngineError)
        assert str(error).startswith(
            "tiny died 5 times in a row: tiny ended with exit code 7;"
            " last output: out of memory (log: "
        )
    assert [step for _, _, step in steps if step] == [f"restart {n} of 4" for n in (1, 2, 3, 4)]

    launcher.options = []
    assert (await shared.acquire(quiet)).process is launcher.started[5]


async def test_an_engine_that_reports_why_is_not_restarted(
    shared: SharedEngine, launcher: Launcher
) -> None:
    launcher.options = ["--error", "no such model"]
    with pytest.raises(EngineError, match=r"^no such model$"):
        await shared.acquire(quiet)
    assert len(launcher.started) == 1


async def test_closing_stops_a_process_in_use(shared: SharedEngine, launcher: Launcher) -> None:
    lease = await shared.acquire(quiet)
    await shared.aclose()
    assert lease.process.exited.is_set()
    shared.release(lease)
    with pytest.raises(EngineError, match="tiny is shut down"):
        await shared.acquire(quiet)


async def test_closing_in_the_middle_of_a_start(shared: SharedEngine, launcher: Launcher) -> None:
    launcher.options = ["--loading", "600"]
    waiting = asyncio.create_task(shared.acquire(quiet))
    await launcher.any_started.wait()
    await shared.aclose()
    with pytest.raises(EngineError, match="tiny is shut down"):
        await waiting
    assert launcher.started[0].exited.is_set()
