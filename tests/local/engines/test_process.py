"""Engines as real processes, well and badly behaved."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from faults.load import open_files, until

from inferencekey.local.engines.environment import engine_environment
from inferencekey.local.engines.process import EngineDied, EngineProcess
from inferencekey.local.engines.process_log import LOG_BYTES
from inferencekey.local.engines.reap import CLOCK_SLACK_SECONDS, reap
from inferencekey.local.errors import EngineError
from inferencekey.local.records import EngineRecord

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parents[1] / "programs"
TINY_ENGINE = PROGRAMS / "tiny_engine.py"
NewEngine = Callable[..., EngineProcess]


@pytest.fixture
async def new_engine(tmp_path: Path, anyio_backend: str) -> AsyncIterator[NewEngine]:
    made: list[EngineProcess] = []

    def new(
        *options: str, address: str | None = None, env: dict[str, str] | None = None
    ) -> EngineProcess:
        engine = EngineProcess(
            [sys.executable, str(TINY_ENGINE), *options],
            folder=tmp_path / "engine",
            log=tmp_path / "logs" / "engine.log",
            address=address,
            env=None if env is None else engine_environment(tmp_path / "engine", env),
            name="tiny",
        )
        made.append(engine)
        return engine

    yield new
    for engine in made:
        await engine.stop(grace=0)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pid: int, within: float = 3.0) -> bool:
    end = time.monotonic() + within
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_running(pid)


def pid_in(path: Path) -> int:
    return int(path.read_text())


async def test_an_engine_that_reports_its_address(new_engine: NewEngine, tmp_path: Path) -> None:
    engine = new_engine("--say", "hello")
    await engine.start()
    address = await engine.wait_healthy(10)
    assert address == engine.address
    assert address.startswith("http://127.0.0.1:")
    assert engine.returncode is None
    assert engine.record == EngineRecord(engine.pid, psutil.Process(engine.pid).create_time())
    assert os.getpgid(engine.pid) == engine.pid
    assert stat.S_IMODE(engine.log.stat().st_mode) == 0o600
    assert "hello" in engine.log_tail()

    await engine.stop()
    assert await engine.wait() == -15
    assert engine.describe_exit().startswith("tiny ended with signal SIGTERM; last output: ")
    assert not is_running(engine.pid)
    await engine.stop()


async def test_a_program_that_gets_its_port(new_engine: NewEngine) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine = new_engine("--port", str(port), "--loading", "0.3", address=f"http://127.0.0.1:{port}")
    await engine.start()
    assert await engine.wait_healthy(10) == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("address", [None, "http://127.0.0.1:9"])
async def test_an_engine_that_ends_immediately(new_engine: NewEngine, address: str | None) -> None:
    engine = new_engine("--say", "no GPU\nin this box", "--exit", "3", address=address)
    await engine.start()
    with pytest.raises(EngineDied) as caught:
        await engine.wait_healthy(10)
    assert str(caught.value) == (
        f"tiny ended with exit code 3; last output: no GPU / in this box (log: {engine.log})"
    )
    assert await engine.wait() == 3


async def test_an_engine_that_reports_why_it_cannot_run(new_engine: NewEngine) -> None:
    engine = new_engine("--error", "the model is not there; fetch it")
    await engine.start()
    with pytest.raises(EngineError) as caught:
        await engine.wait_healthy(10)
    assert str(caught.value) == "the model is not there; fetch it"
    assert not isinstance(caught.value, EngineDied)


async def test_an_engine_that_never_becomes_healthy(new_engine: NewEngine) -> None:
    engine = new_engine("--loading", "600", "--say", "loading")
    await engine.start()
    with pytest.raises(
        EngineError,
        match=r"did not become healthy within 0\.8 s \(http://127.*/health: 503\); last output",
    ):
        await engine.wait_healthy(0.8)
    assert engine.returncode is None


async def test_an_engine_that_never_reports(new_engine: NewEngine) -> None:
    engine = new_engine("--mute")
    await engine.start()
    with pytest.raises(EngineError, match=r"tiny did not become healthy within 0\.5 s \(log: "):
        await engine.wait_healthy(0.5)


async def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    engine = EngineProcess(
        [str(tmp_path / "nowhere")], folder=tmp_path, log=tmp_path / "log", name="tiny"
    )
    descriptors = psutil.Process().num_fds()
    with pytest.raises(
        EngineError, match=r"cannot start tiny: .*nowhere: No such file or directory"
    ):
        await engine.start()
    assert psutil.Process().num_fds() == descriptors
    await engine.stop()


async def test_no_descriptor_stays_open(new_engine: NewEngine) -> None:
    for _ in range(2):
        descriptors = open_files()
        engine = new_engine()
        await engine.start()
        await engine.wait_healthy(10)
        await engine.stop()
    # aiodns, if it is installed, closes its sockets in a thread of its own.
    assert until(lambda: open_files() == descriptors)


async def test_the_whole_group_is_stopped_even_if_it_ignores_sigterm(
    new_engine: NewEngine, tmp_path: Path
) -> None:
    engine = new_engine("--stubborn", "--grandchild", str(tmp_path / "pid"))
    await engine.start()
    await engine.wait_healthy(10)
    grandchild = pid_in(tmp_path / "pid")
    begin = time.monotonic()
    await engine.stop(grace=0.3)
    assert 0.3 <= time.monotonic() - begin < 3
    assert await engine.wait() == -9
    assert gone(grandchild)


async def test_grandchildren_do_not_outlive_an_engine_that_ends_well(
    new_engine: NewEngine, tmp_path: Path
) -> None:
    engine = new_engine("--grandchild", str(tmp_path / "pid"))
    await engine.start()
    await engine.wait_healthy(10)
    await engine.stop()
    assert gone(pid_in(tmp_path / "pid"))


async def test_an_unexpected_end_is_noticed_and_leaves_no_process(
    new_engine: NewEngine, tmp_path: Path
) -> None:
    engine = new_engine("--grandchild", str(tmp_path / "pid"))
    await engine.start()
    await engine.wait_healthy(10)
    os.kill(engine.pid, 9)
    async with asyncio.timeout(3):
        await engine.exited.wait()
    assert engine.returncode == -9
    assert gone(pid_in(tmp_path / "pid"))


async def test_a_cancelled_stop_does_not_leave_it_running(new_engine: NewEngine) -> None:
    engine = new_engine("--stubborn")
    await engine.start()
    await engine.wait_healthy(10)
    stopping = asyncio.create_task(engine.stop(grace=60))
    await asyncio.sleep(0.1)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    async with asyncio.timeout(3):
        assert await engine.wait() == -9


async def test_an_engine_gets_none_of_our_credentials(
    new_engine: NewEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "INFERENCEKEY_SDK_TOKEN",
        "INFERENCEKEY_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "SSH_AUTH_SOCK",
    ):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    engine = new_engine("--environment", str(tmp_path / "seen"), env={"EXTRA": "1"})
    await engine.start()
    await engine.wait_healthy(10)
    seen = json.loads((tmp_path / "seen").read_text())
    assert "secret" not in seen["environ"].values()
    assert (
        seen["environ"]["HOME"]
        == seen["environ"]["TMPDIR"]
        == seen["cwd"]
        == str(tmp_path / "engine")
    )
    assert seen["environ"]["EXTRA"] == "1"
    assert seen["environ"]["LC_ALL"] == "C.UTF-8"
    assert stat.S_IMODE((tmp_path / "engine").stat().st_mode) == 0o700


async def test_the_log_is_bounded_and_its_tail_is_from_this_run(new_engine: NewEngine) -> None:
    first = new_engine("--say", "first run", "--exit", "1")
    await first.start()
    await first.wait()
    with first.log.open("ab") as log:
        log.truncate(LOG_BYTES + 1)

    second = new_engine("--say", "\n".join(f"line {n}" for n in range(30)), "--exit", "1")
    await second.start()
    await second.wait()
    assert second.log_tail(2) == "line 28\nline 29"
    assert second.log.stat().st_size < 1000
    assert second.log.with_name("engine.log.1").stat().st_size == LOG_BYTES + 1

    third = new_engine("--say", "third run", "--exit", "1")
    await third.start()
    await third.wait()
    assert third.log_tail() == "third run"


def test_reaping_after_a_kill(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = [
        sys.executable,
        str(PROGRAMS / "doomed_platform.py"),
        str(tmp_path),
        str(TINY_ENGINE),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--grandchild", str(pid_file)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as platform:
        assert platform.stdout is not None
        engine = EngineRecord(**json.loads(platform.stdout.readline()))
        platform.kill()
    grandchild = pid_in(pid_file)

    somebody_elses = EngineRecord(engine.pid, engine.create_time - 2 * CLOCK_SLACK_SECONDS)
    no_leader = EngineRecord(grandchild, psutil.Process(grandchild).create_time())
    unused = EngineRecord(2**22 + 1, time.time())
    assert (
        reap([somebody_elses, no_leader, unused, EngineRecord(-1, 0.0), EngineRecord(0, 0.0)]) == []
    )
    assert is_running(engine.pid)
    assert is_running(grandchild)

    assert reap([engine]) == [engine]
    assert not is_running(engine.pid)
    assert gone(grandchild)
    assert reap([engine]) == []
