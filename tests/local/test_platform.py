"""The platform as a whole: how it starts, how it stops, and what happens if it is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from platforms import Running, running

from inferencekey.errors import ValidationError
from inferencekey.local import LocalPlatform
from inferencekey.local.data_dir import is_locked, read_run_file
from inferencekey.local.defaults import DEFAULT_PORT, default_data_dir
from inferencekey.local.errors import PlatformError, StoreError
from inferencekey.local.records import EngineRecord
from inferencekey.local.status import platform_status
from inferencekey.local.store import Store, open_store

pytestmark = pytest.mark.anyio

PROGRAM = Path(__file__).parent / "programs" / "a_platform.py"


@contextmanager
def process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run a platform in its own process, which is killed at the end if it still runs."""
    child = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        yield child, json.loads(child.stdout.readline())
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


@asynccontextmanager
async def client(printed: dict[str, str]) -> AsyncIterator[Running]:
    async with aiohttp.ClientSession(printed["base_url"]) as http:
        yield Running(LocalPlatform(), http, printed["sdk"], printed["live"])


async def gone(pids: list[int], within: float) -> None:
    deadline = time.monotonic() + within
    while alive := [
        pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"
    ]:
        assert time.monotonic() < deadline, alive
        await asyncio.sleep(0.05)


# Starting and stopping


async def test_a_platform_serves_only_inside_its_block(tmp_path: Path) -> None:
    platform = LocalPlatform(data_dir=tmp_path / "data", port=0)
    with pytest.raises(PlatformError, match="not running"):
        _ = platform.base_url
    async with platform, aiohttp.ClientSession() as http:
        url = platform.base_url
        assert url.startswith("http://127.0.0.1:")
        assert platform.data_dir == tmp_path / "data"
        assert not platform.exposed
        async with http.get(f"{url}/healthz") as response:
            assert await response.json() == {"status": "ok"}
    with pytest.raises(PlatformError, match="not running"):
        platform.mint_sdk_token("acme")
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(f"{url}/healthz")


async def test_a_platform_can_be_started_again(tmp_path: Path) -> None:
    platform = LocalPlatform(data_dir=tmp_path / "data", port=0)
    async with platform:
        token = platform.mint_sdk_token("acme")
    async with platform, aiohttp.ClientSession(platform.base_url) as http:
        response = await http.get(
            "/api/projects/acme/workloads", headers={"Authorization": f"Bearer {token}"}
        )
        assert response.status == 200
        await response.read()


async def test_an_exception_of_the_block_is_raised_unchanged(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with LocalPlatform(data_dir=tmp_path / "data", port=0):
            raise LookupError("mine")
    assert not is_locked(tmp_path / "data")


async def test_cancelling_stops_the_platform(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def run() -> None:
        async with LocalPlatform(data_dir=tmp_path / "data", port=0):
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_locked(tmp_path / "data")


async def test_creating_tokens_checks_the_arguments(tmp_path: Path) -> None:
    async with LocalPlatform(data_dir=tmp_path / "data", port=0) as platform:
        for grants in ((), ("acme",), ("acme/",)):
            with pytest.raises(ValidationError, match="validation error: "):
                platform.mint_live_token(*grants)
        with pytest.raises(ValidationError, match="project"):
            platform.mint_sdk_token("a/b")
        with pytest.raises(ValidationError, match="scope"):
            platform.mint_sdk_token("acme", ["everything"])
        minted = await asyncio.to_thread(platform.mint_live_token, "acme/bot", "other/*")
        assert minted.startswith("ik_live_")


async def test_two_platforms_can_run_in_one_process(tmp_path: Path) -> None:
    async with running(tmp_path / "one") as one, running(tmp_path / "two") as two:
        await one.create("bot")
        assert (await two.call("GET", "/api/projects/acme/workloads")).body == []
        assert (await two.call("GET", "/api/projects/acme/workloads", token=one.sdk)).status == 401


async def test_only_one_platform_can_use_a_directory(tmp_path: Path) -> None:
    async with LocalPlatform(data_dir=tmp_path / "data", port=0) as platform:
        with pytest.raises(PlatformError) as raised:
            await LocalPlatform(data_dir=tmp_path / "data", port=0).__aenter__()
        assert str(os.getpid()) in str(raised.value)
        assert platform.base_url in str(raised.value)
        assert "\n" not in str(raised.value)


async def test_checking_the_lock_does_not_prevent_a_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with LocalPlatform(data_dir=data, port=0):
        pass
    looking = True

    def look() -> None:
        while looking:
            is_locked(data)

    watching = asyncio.create_task(asyncio.to_thread(look))
    try:
        for _ in range(5):
            async with LocalPlatform(data_dir=data, port=0):
                assert is_locked(data)
    finally:
        looking = False
        await watching


async def test_a_port_in_use_gets_a_message_of_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PlatformError) as raised:
            await LocalPlatform(data_dir=tmp_path / "data", port=port).__aenter__()
    assert str(raised.value) == (
        f"cannot listen on 127.0.0.1 port {port}: another program listens there; "
        "stop it, or choose another port"
    )
    assert not is_locked(tmp_path / "data")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "203.0.113.7"}, "cannot listen on 203.0.113.7"),
        ({"host": "no-such-host.invalid"}, "choose another host"),
        ({"port": 70000}, "a port must be an integer from 0 to 65535"),
    ],
)
async def test_an_invalid_host_or_port_gets_a_message_of_one_line(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PlatformError, match=message) as raised:
        await LocalPlatform(**{"data_dir": tmp_path / "data", "port": 0, **options}).__aenter__()
    assert "\n" not in str(raised.value)


async def test_an_unusable_data_directory_gets_a_message_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(PlatformError, match="cannot use the data directory") as raised:
            await LocalPlatform(data_dir=bad, port=0).__aenter__()
        assert str(bad) in str(raised.value)
        assert "\n" not in str(raised.value)


async def test_a_broken_store_gets_a_message_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "platform.db").write_bytes(b"not a database " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        await LocalPlatform(data_dir=tmp_path, port=0).__aenter__()
    assert not is_locked(tmp_path)


async def test_only_the_owner_can_read_the_data_directory(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with running(tmp_path / "data") as local:
            await local.create()
            for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
                assert path.stat().st_mode & 0o077 == 0, path
    finally:
        os.umask(before)


def test_the_default_port_and_directory_are_fixed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert LocalPlatform().data_dir == default_data_dir()
    assert default_data_dir().parts[-2:] == ("inferencekey", "local")
    assert DEFAULT_PORT == 4747


@pytest.mark.parametrize(
    ("host", "url"), [("localhost", "http://localhost:"), ("::1", "http://[::1]:")]
)
async def test_a_platform_on_another_loopback_address(tmp_path: Path, host: str, url: str) -> None:
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    async with running(tmp_path / "data", host=host) as local:
        assert local.platform.base_url.startswith(url)
        assert not local.platform.exposed
        assert (await local.call("GET", "/healthz")).status == 200


async def test_a_platform_on_all_addresses_is_exposed(tmp_path: Path) -> None:
    async with running(tmp_path / "data", host="0.0.0.0") as local:  # noqa: S104 - what is tested
        assert local.platform.exposed
        assert local.platform.base_url.startswith("http://127.0.0.1:")
        assert (await local.call("GET", "/healthz")).status == 200
        assert (await local.call("GET", "/healthz", headers={"Host": "evil.example"})).status == 403


async def test_importing_the_package_loads_no_dependencies() -> None:
    code = (
        "import sys, inferencekey.local; "
        "print({'aiohttp', 'sqlite3', 'anyio', 'psutil'} & set(sys.modules))"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    printed, _ = await child.communicate()
    assert printed.strip() == b"set()"


async def test_tokens_can_be_created_before_and_during_a_run(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    with open_store(data) as store:
        early = store.mint_sdk_token("acme").text
    assert data.stat().st_mode & 0o777 == 0o700
    async with running(data) as local:
        assert (await local.call("GET", "/api/projects/acme/workloads", token=early)).status == 200
        with open_store(str(data)) as store:
            late = store.mint_live_token("acme/later").text
        assert (await local.call("GET", "/endpoint/acme/later/v1/models", token=late)).status == 404


async def test_the_log_is_private_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferencekey.local.platform_log.LOG_BYTES", 2000)
    before = os.umask(0)
    try:
        async with running(tmp_path / "data") as local:
            for _ in range(100):
                await local.call("GET", "/healthz")
            logs = list((tmp_path / "data" / "logs").glob("platform.log*"))
    finally:
        os.umask(before)
    assert len(logs) == 3
    assert {log.stat().st_mode & 0o777 for log in logs} == {0o600}
    assert max(log.stat().st_size for log in logs) <= 2000


# Status


async def test_status_is_read_from_the_directory_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    nothing = platform_status(data)
    assert (nothing.running, nothing.pid, nothing.workloads, nothing.engines) == (
        False,
        None,
        (),
        (),
    )
    assert not data.exists()
    async with running(data) as local:
        await local.create("bot", backend="ollama")
        await local.ready("bot")
        await asyncio.sleep(0.1)
        status = platform_status(data)
        assert (status.running, status.pid, status.base_url) == (
            True,
            os.getpid(),
            local.platform.base_url,
        )
        [workload] = status.workloads
        assert (workload.project, workload.slug, workload.phase, workload.served_by) == (
            "acme",
            "bot",
            "error",
            None,
        )
        assert "no stand-in" in workload.message
    status = platform_status(data)
    assert (status.running, status.pid, status.base_url) == (False, None, None)
    assert [workload.phase for workload in status.workloads] == ["stopped"]
    assert read_run_file(data) is None


@pytest.mark.engine
async def test_status_names_the_model_that_answers(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as local:
        await local.serve("docs", "embedding")
        await asyncio.sleep(0.1)
        status = platform_status(tmp_path / "data")
        [workload] = status.workloads
        assert (workload.phase, workload.served_by) == ("ready", "all-MiniLM-L6-v2")
        [engine] = status.engines
        assert psutil.pid_exists(engine)
    assert platform_status(tmp_path / "data").engines == ()
    await gone([engine], 1)


# The end of a process


@pytest.mark.engine
async def test_kill_9_loses_no_data_and_leaves_no_engine(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with process(data) as (child, printed):
        async with client(printed) as local:
            made = [await local.create(f"bot-{n}") for n in range(5)]
            docs = await local.create("docs", task_type="embedding")
            assert (await local.ready("docs"))[-1]["phase"] == "ready"
            changed = await local.call(
                "PATCH", f"/api/workloads/{made[0]['id']}", json={"description": "changed"}
            )
            assert (await local.call("DELETE", f"/api/workloads/{made[1]['id']}")).status == 204
        engines = list(platform_status(data).engines)
        assert engines
        child.send_signal(signal.SIGKILL)
        child.wait()
        await gone(engines, 5)
    status = platform_status(data)
    assert not status.running
    async with running(data) as local:
        listed = await local.call("GET", "/api/projects/acme/workloads", token=printed["sdk"])
        assert listed.body == [changed.body, *made[2:], docs]
        assert (await local.ready("docs"))[-1]["phase"] == "ready", "what was stored comes up again"
        response = await local.call(
            "POST", "/endpoint/acme/docs/v1/embeddings", token=printed["live"], json={"input": "x"}
        )
        assert response.status == 200


@pytest.mark.engine
async def test_the_next_platform_ends_engines_of_a_killed_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with process(data) as (child, printed):
        async with client(printed) as local:
            await local.serve("docs", "embedding")
        engines = list(platform_status(data).engines)
        # Stopped processes do not notice that their platform has ended.
        for pid in engines:
            os.kill(pid, signal.SIGSTOP)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert all(psutil.pid_exists(pid) for pid in engines)
        assert list(platform_status(data).engines) == engines
    async with running(data):
        await gone(engines, 5)
        assert not set(engines) & set(platform_status(data).engines)


async def test_does_not_end_another_process_with_the_pid_of_an_engine(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running(data):
        pass
    bystander = await asyncio.create_subprocess_exec("sleep", "30", start_new_session=True)
    try:
        with Store(data / "platform.db") as store:
            store.add_engine(
                EngineRecord(bystander.pid, psutil.Process(bystander.pid).create_time() - 100)
            )
        async with running(data):
            assert bystander.returncode is None
            assert psutil.pid_exists(bystander.pid)
            assert platform_status(data).engines == ()
    finally:
        bystander.kill()
        await bystander.wait()


@pytest.mark.engine
async def test_running_calls_cannot_delay_a_stop_without_limit(tmp_path: Path) -> None:
    with process(tmp_path / "data") as (child, printed):
        async with client(printed) as local:
            await local.serve("bot", "text2text")
            engines = list(platform_status(tmp_path / "data").engines)
            body = {
                "messages": [{"role": "user", "content": "hi"}],
                "max_tokens": 2000,
                "ignore_eos": True,
            }
            calls = [
                asyncio.create_task(
                    local.call("POST", "/endpoint/acme/bot/v1/chat/completions", json=body)
                )
                for _ in range(6)
            ]
            await asyncio.sleep(0.5)
            began = time.monotonic()
            child.terminate()
            await asyncio.to_thread(child.wait, 20)
            assert child.returncode == 0
            assert time.monotonic() - began < 12, "3 s for the calls, and 5 s for the engines"
            await asyncio.wait(calls)
            for call in calls:
                assert call.exception() is not None or call.result().status in (502, 503)
    await gone(engines, 1)


async def test_an_idle_connection_does_not_delay_a_stop(tmp_path: Path) -> None:
    async with running(tmp_path / "data", close_seconds=30) as local:
        idle = await local.http.get("/healthz")
        await idle.read()
        began = time.monotonic()
    assert time.monotonic() - began < 2


@pytest.mark.engine
async def test_a_call_before_readiness_waits_and_then_gets_503(tmp_path: Path) -> None:
    """The second platform has enough time for the workload to become ready."""
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    async with running(tmp_path / "data", hold=0.2) as local:
        await local.create("bot", task_type="text2text")
        first = await local.call("POST", "/endpoint/acme/bot/v1/chat/completions", json=body)
        assert first.status == 503
        assert first.headers["Retry-After"] == "2"
        assert first.body["error"]["code"] == "workload_not_ready"
    async with running(tmp_path / "data", hold=60) as local:
        first = await local.call("POST", "/endpoint/acme/bot/v1/chat/completions", json=body)
        assert first.status == 200


async def test_a_workload_whose_model_cannot_be_fetched_is_in_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no directory")
    async with running(tmp_path / "data", cache_dir=tmp_path / "cache") as local:
        await local.create("bot", task_type="text2text")
        last = (await local.ready("bot"))[-1]
        assert last["phase"] == "error"
        assert "model cache" in last["message"]
        response = await local.call("GET", "/endpoint/acme/bot/v1/models")
        assert (response.status, response.body["error"]["code"]) == (503, "workload_error")
        assert "model cache" in response.body["error"]["message"]
        assert "Retry-After" not in response.headers
