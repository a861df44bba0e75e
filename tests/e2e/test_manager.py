"""Changes, replicas and deletion of workloads while calls go on, with installed programs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from platforms import Answer, Running, running
from platforms.installing import install

from inferencekey import AsyncDataClient, AsyncEndpoint, RetryPolicy
from inferencekey.local.clock import ManualClock
from inferencekey.local.engines.stand_ins.model_files import ensure_model
from inferencekey.local.engines.stand_ins.model_table import SMOLLM2
from inferencekey.local.manager.target.scaling import IDLE_SECONDS, UP_SECONDS
from inferencekey.local.status import WorkloadStatus, platform_status

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CHAT = "/endpoint/acme/bot/v1/chat/completions"
NEVER = RetryPolicy(max_attempts=1)
FRIDAY_EVENING = datetime(2025, 11, 21, 19, 0, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(FRIDAY_EVENING)


@pytest.fixture
async def local(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> AsyncIterator[Running]:
    install(
        monkeypatch, tmp_path / "bin", echo="echo_engine.py", llama_server="real_llama_server.py"
    )
    async with running(tmp_path / "data", clock=clock) as started:
        yield started
    status = platform_status(tmp_path / "data")
    assert status.engines == ()


def command(name: str, *options: str) -> dict[str, Any]:
    return {"command": " ".join(["echo", name, "--port {port}", *options])}


async def create(local: Running, config: dict[str, Any] | None, **fields: Any) -> str:
    made = await local.create(
        "bot", task_type="text2text", backend="my-engine", config=config, **fields
    )
    return str(made["id"])


async def change(local: Running, workload_id: str, **fields: Any) -> None:
    answer = await local.call("PATCH", f"/api/workloads/{workload_id}", json=fields)
    assert answer.status == 200, answer


async def is_ready(local: Running) -> str:
    last = (await local.ready("bot"))[-1]
    assert last["phase"] == "ready", last
    return str(last["message"])


async def who(local: Running) -> str:
    answer = await local.call("POST", CHAT, json={})
    assert answer.status == 200, answer
    return str(answer.body["model"])


async def call_once(local: Running) -> Answer:
    return await local.call("POST", CHAT, json={})


def status(local: Running) -> WorkloadStatus:
    [workload] = platform_status(local.platform.data_dir).workloads
    return workload


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - on a disk, and in other processes
            await asyncio.sleep(0.02)


class Load:
    """Calls without a pause, whole and streamed, each sent once. A lost call raises."""

    def __init__(
        self,
        call: Callable[[], Awaitable[str]],
        stream: Callable[[], Awaitable[str]],
        callers: int = 2,
    ) -> None:
        self.models: list[str] = []
        self._stop = False
        self._tasks = [
            asyncio.create_task(self._run(what)) for what in (call, stream) for _ in range(callers)
        ]

    async def _run(self, call: Callable[[], Awaitable[str]]) -> None:
        while not self._stop:
            self.models.append(await call())

    async def seen(self, model: str, times: int = 8) -> None:
        """Wait until this model has served that many more calls."""
        wanted = self.models.count(model) + times
        await until(
            lambda: self.models.count(model) >= wanted or any(task.done() for task in self._tasks)
        )

    async def end(self) -> list[str]:
        self._stop = True
        await asyncio.gather(*self._tasks)
        return self.models


def load_on(endpoint: AsyncEndpoint, max_tokens: int = 8) -> Load:
    async def call() -> str:
        return str(
            (await endpoint.generate_text(prompt="Hi", max_tokens=max_tokens, temperature=0)).model
        )

    async def stream() -> str:
        async with endpoint.generate_text_stream(
            prompt="Hi", max_tokens=max_tokens, temperature=0
        ) as chunks:
            async for _ in chunks:
                pass
        assert chunks.result is not None
        assert chunks.result.finish_reason or chunks.result.text
        return str(chunks.result.model)

    return Load(call, stream)


@pytest.fixture
async def data(local: Running) -> AsyncIterator[AsyncDataClient]:
    async with AsyncDataClient(
        base_url=local.platform.base_url, project="acme", api_key=local.live, retry=NEVER
    ) as client:
        yield client


# Changes under load


@pytest.mark.engine
async def test_no_request_is_lost_when_the_command_changes(
    local: Running, data: AsyncDataClient
) -> None:
    model = await asyncio.to_thread(ensure_model, SMOLLM2)

    def serve(alias: str) -> dict[str, Any]:
        return {"command": f"llama-server -m {model} --alias {alias} -c 2048 --parallel 4"}

    made = await local.create("bot", task_type="text2text", backend="llamacpp", config=serve("one"))
    await is_ready(local)
    load = load_on(data.endpoint("bot"))
    await load.seen("one")
    for alias in ("two", "three"):
        await change(local, made["id"], config=serve(alias))
        assert await is_ready(local) == f"{alias} answers, served by llama-server"
        await load.seen(alias)
    models = await load.end()
    assert set(models) == {"one", "two", "three"}
    await until(lambda: len(platform_status(local.platform.data_dir).engines) == 1)


@pytest.mark.engine
async def test_a_stand_in_serves_during_a_change_of_command(
    local: Running, data: AsyncDataClient
) -> None:
    made = await local.create("bot", task_type="text2text", config={"command": "vllm serve one"})
    await is_ready(local)
    engines = platform_status(local.platform.data_dir).engines
    load = load_on(data.endpoint("bot"))
    for number in range(5):
        await load.seen("SmolLM2-135M-Instruct", 2)
        await change(local, made["id"], config={"command": f"vllm serve another-{number}"})
        await is_ready(local)
    assert set(await load.end()) == {"SmolLM2-135M-Instruct"}
    assert platform_status(local.platform.data_dir).engines == engines, "it is the same process"


async def test_a_stream_is_finished_by_the_engine_that_began_it(local: Running) -> None:
    made = await create(local, command("old", "--slow 0.2", "--pieces 8"))
    await is_ready(local)
    headers = {"Authorization": f"Bearer {local.live}"}
    async with local.http.post(CHAT, json={"stream": True}, headers=headers) as answer:
        assert await answer.content.readuntil(b"\n\n")
        await change(local, made, config=command("new"))
        await is_ready(local)
        assert await who(local) == "new"
        assert len(platform_status(local.platform.data_dir).engines) == 2
        rest = await answer.content.read()
    assert rest.count(b"old") >= 7
    assert rest.endswith(b"data: [DONE]\n\n")
    await until(lambda: len(platform_status(local.platform.data_dir).engines) == 1)


async def test_a_change_that_cannot_start_does_not_affect_callers(
    local: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferencekey.local.engines.programs.pool.PAUSE_SECONDS", 0.01)
    made = await create(local, command("old"))
    await is_ready(local)
    await change(local, made, config=command("new", "--bad"))
    last = (await local.ready("bot"))[-1]
    assert last["phase"] == "error"
    assert "unknown model architecture" in last["message"]
    assert "the engine from before the change still serves calls" in last["message"]
    assert await who(local) == "old"
    await until(lambda: status(local).phase == "error")
    assert (status(local).served_by, status(local).line) == ("old", "error 1/1")
    await change(local, made, config=command("new"))
    await is_ready(local)
    assert await who(local) == "new"


async def test_a_deleted_workload_finishes_its_streams(local: Running) -> None:
    made = await create(local, command("old", "--slow 0.1", "--pieces 8"))
    await is_ready(local)
    headers = {"Authorization": f"Bearer {local.live}"}
    async with local.http.post(CHAT, json={"stream": True}, headers=headers) as answer:
        assert await answer.content.readuntil(b"\n\n")
        assert (await local.call("DELETE", f"/api/workloads/{made}")).status == 204
        assert (await local.call("POST", CHAT, json={})).status == 404
        assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")
    await until(lambda: platform_status(local.platform.data_dir).engines == ())


async def test_a_drain_takes_a_limited_time_for_streams(local: Running, clock: ManualClock) -> None:
    made = await create(local, command("old"))
    await is_ready(local)
    call = asyncio.create_task(local.call("POST", CHAT, json={"wait": True}))
    await asyncio.sleep(0.2)
    assert (await local.call("DELETE", f"/api/workloads/{made}")).status == 204
    await clock.advance(59)
    assert not call.done()
    await clock.advance(1)
    answer = await asyncio.wait_for(call, 20)
    assert (answer.status, answer.body["error"]["code"]) == (502, "engine_died")


# Replicas


async def test_replicas_share_calls_and_survive_the_death_of_one(local: Running) -> None:
    made = await create(
        local,
        command("one", "--slow 0.3"),
        execution_policy="fixed",
        execution_policy_config={"replicas": 2},
    )
    await until(lambda: status(local).line == "ready 2/2")
    assert status(local).message == "one answers, served by echo; 2 of 2 replicas"
    headers = {"Authorization": f"Bearer {local.live}"}

    async def stream() -> bytes:
        async with local.http.post(CHAT, json={"stream": True}, headers=headers) as answer:
            return await answer.content.readuntil(b"\n\n") + await answer.content.read()

    def busy(pid: int) -> int:
        return sum(
            each.status == "ESTABLISHED" for each in psutil.Process(pid).net_connections("tcp")
        )

    pids = platform_status(local.platform.data_dir).engines
    streams = [asyncio.create_task(stream()) for _ in range(4)]
    await until(lambda: [busy(pid) for pid in pids] == [2, 2])
    assert all(text.endswith(b"[DONE]\n\n") for text in await asyncio.gather(*streams))
    os.kill(pids[0], signal.SIGKILL)
    await until(lambda: pids[0] not in platform_status(local.platform.data_dir).engines)
    assert [await who(local) for _ in range(6)] == ["one"] * 6, (
        "who was not sent yet goes to the other"
    )
    assert (await local.ready("bot"))[-1]["phase"] == "ready"
    await until(lambda: status(local).line == "ready 2/2")
    assert pids[1] in platform_status(local.platform.data_dir).engines
    await change(local, made, execution_policy_config={"replicas": 1})
    await until(lambda: status(local).line == "ready 1/1")


# Schedules and load


async def test_outside_its_window_a_workload_says_when_it_starts(
    local: Running, clock: ManualClock
) -> None:
    await create(
        local,
        command("one"),
        execution_policy="scheduled",
        execution_policy_config={"window": "Mon-Fri 08:00-20:00 Europe/Madrid"},
    )
    await until(lambda: status(local).message.startswith("outside its window"))
    answer = await local.call("POST", CHAT, json={})
    assert (answer.status, answer.body["error"]["code"]) == (503, "workload_not_scheduled")
    assert "starts Mon 2025-11-24 08:00 Europe/Madrid" in answer.body["error"]["message"]
    assert answer.headers["Retry-After"] == "3600"
    headers = {"Authorization": f"Bearer {local.sdk}"}
    path = "/api/projects/acme/workloads/bot/readiness-events"
    async with local.http.get(path, headers=headers) as events:
        first = await events.content.readuntil(b"\n\n")
        assert b'"phase":"scheduling"' in first
        assert b"outside its window" in first
        await clock.advance(60 * 3600)
        rest = await events.content.read()
    assert b'"phase":"ready"' in rest.splitlines()[-2]
    assert await who(local) == "one"


async def test_a_cron_that_cannot_be_evaluated_is_refused(local: Running) -> None:
    made = await create(local, command("one"))
    for cron in ("0 0 30 2 *", "0 0 * * fri-sun"):
        policy = {"execution_policy": "scheduled", "execution_policy_config": {"cron": cron}}
        answer = await local.call("PATCH", f"/api/workloads/{made}", json=policy)
        assert answer.status == 400
        assert "execution_policy_config.cron" in answer.body["error"]


async def test_held_calls_are_shared_by_all_engines_that_start(
    local: Running, clock: ManualClock
) -> None:
    config = {
        "min_workers": 0,
        "max_workers": 3,
        "workers": {"source": "private", "private_worker_ids": ["here"]},
    }
    await create(
        local, command("one"), execution_policy="autoscaling", execution_policy_config=config
    )
    assert await is_ready(local) == "scaled to zero; the next call starts it"

    def busy() -> list[int]:
        pids = platform_status(local.platform.data_dir).engines
        return [
            sum(each.status == "ESTABLISHED" for each in psutil.Process(pid).net_connections("tcp"))
            for pid in pids
        ]

    calls = [asyncio.create_task(local.call("POST", CHAT, json={"wait": True})) for _ in range(24)]
    await until(lambda: busy() == [4])  # its number of slots
    await clock.advance(UP_SECONDS)
    await until(lambda: busy() == [8, 8, 8])
    assert status(local).line == "ready 3/3"
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await until(lambda: busy() == [0, 0, 0])


async def test_held_calls_run_one_after_another_on_one_engine(local: Running) -> None:
    """The clock does not move, so there is one engine all the time."""
    config = {
        "min_workers": 0,
        "max_workers": 3,
        "workers": {"source": "private", "private_worker_ids": ["here"]},
    }
    await create(
        local, command("one"), execution_policy="autoscaling", execution_policy_config=config
    )
    assert [
        answer.status for answer in await asyncio.gather(*(call_once(local) for _ in range(24)))
    ] == [200] * 24


async def test_a_call_starts_a_workload_at_rest(local: Running, clock: ManualClock) -> None:
    config = {
        "min_workers": 0,
        "max_workers": 2,
        "workers": {"source": "private", "private_worker_ids": ["here"]},
    }
    await create(
        local, command("one"), execution_policy="autoscaling", execution_policy_config=config
    )
    assert await is_ready(local) == "scaled to zero; the next call starts it"
    assert platform_status(local.platform.data_dir).engines == ()
    assert await who(local) == "one"
    await until(lambda: status(local).line == "ready 1/1")
    await clock.advance(IDLE_SECONDS)
    await until(lambda: platform_status(local.platform.data_dir).engines == ())
    assert status(local).line == "ready"
    assert await who(local) == "one"
