"""Workloads on their way, with engines that do exactly what a test wants."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import attrs
import pytest

from inferencekey.local.background import Background
from inferencekey.local.choose import Choice, RunningEngine
from inferencekey.local.errors import EngineError
from inferencekey.local.lifecycle import Lifecycle, NotServing, Stage
from inferencekey.local.standin import OnStep
from inferencekey.local.store import Status, StoredWorkload

pytestmark = pytest.mark.anyio


@attrs.define(eq=False)
class Engine:
    """An engine without a process: it runs until it is told to die."""

    address: str = "http://127.0.0.1:1"
    api_key: str = "k"
    model_name: str = "real-model"
    exited: asyncio.Event = attrs.field(factory=asyncio.Event)

    def describe_exit(self) -> str:
        return "the engine ended with signal SIGKILL"


class Workshop:
    """Makes engines, as many and as fast as a test says."""

    def __init__(self) -> None:
        self.made: list[Engine] = []
        self.held = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None

    def choose(self, workload: StoredWorkload) -> Choice:
        if workload.task_type == "forecast":
            raise EngineError("nothing serves forecast here")
        return Choice(self.hold, lambda model: f"{model} answers")

    @asynccontextmanager
    async def hold(self, on_step: OnStep) -> AsyncGenerator[RunningEngine]:
        on_step("provisioning", "downloading", "download 50 %")
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        on_step("bootstrapping", "starting", None)
        engine = Engine()
        self.made.append(engine)
        self.held += 1
        try:
            yield engine
        finally:
            self.held -= 1


def workload(name: str = "w1", **fields: str) -> StoredWorkload:
    given = {"task_type": "text2text", "backend": "vllm", "model_name": "m", **fields}
    return StoredWorkload(id=name, project="acme", slug=name, name=name, created_at="", updated_at="", **given)


@pytest.fixture
def shop() -> Workshop:
    return Workshop()


@pytest.fixture
def saved() -> dict[str, Status]:
    return {}


@pytest.fixture
async def lifecycle(shop: Workshop, saved: dict[str, Status], anyio_backend: str) -> AsyncIterator[Lifecycle]:
    log = logging.Logger("test")
    tasks = Background(log)
    made = Lifecycle(tasks, shop.choose, saved.update, log)
    made.start([])
    yield made
    await tasks.aclose()
    assert shop.held == 0


async def watch(lifecycle: Lifecycle, name: str = "w1", beat: float = 60) -> list[Stage | None]:
    async with aclosing(lifecycle.stages(name, beat)) as stages:
        return [stage async for stage in stages]


async def test_the_way_to_ready(lifecycle: Lifecycle, shop: Workshop, saved: dict[str, Status]) -> None:
    lifecycle.launch(workload())
    stages = [stage for stage in await watch(lifecycle) if stage is not None]
    assert [stage.phase for stage in stages] == ["scheduling", "provisioning", "provisioning", "bootstrapping", "ready"]
    assert stages[2].to_wire() == {
        "phase": "provisioning",
        "message": "downloading",
        "elapsed_ms": stages[2].elapsed_ms,
        "step": "download 50 %",
    }
    assert stages[-1].message == "real-model answers"
    assert await lifecycle.engine("w1", 0.1) is shop.made[0]
    await asyncio.sleep(0.05)
    assert (saved["w1"].phase, saved["w1"].served_by) == ("ready", "real-model")


async def test_who_comes_late_sees_where_it_is_now(lifecycle: Lifecycle) -> None:
    lifecycle.launch(workload())
    await watch(lifecycle)
    [stage] = await watch(lifecycle)
    assert stage is not None
    assert stage.phase == "ready"


async def test_what_nothing_serves_is_an_error(lifecycle: Lifecycle) -> None:
    lifecycle.launch(workload(task_type="forecast"))
    last = (await watch(lifecycle))[-1]
    assert last is not None
    assert last.phase == "error"
    assert last.message.startswith("nothing serves forecast here")
    with pytest.raises(NotServing, match="nothing serves forecast") as raised:
        await lifecycle.engine("w1", 1)
    assert not raised.value.temporary


async def test_silence_is_broken_by_heartbeats(lifecycle: Lifecycle, shop: Workshop) -> None:
    shop.gate.clear()
    lifecycle.launch(workload())
    task = asyncio.create_task(watch(lifecycle, beat=0.01))
    await asyncio.sleep(0.1)
    shop.gate.set()
    stages = await task
    assert stages.count(None) >= 3
    assert stages[-1] is not None


async def test_a_call_waits_for_an_engine_but_not_for_ever(lifecycle: Lifecycle, shop: Workshop) -> None:
    shop.gate.clear()
    lifecycle.launch(workload())
    with pytest.raises(NotServing, match="still coming up \\(provisioning: downloading\\)") as raised:
        await lifecycle.engine("w1", 0.05)
    assert raised.value.temporary
    call = asyncio.create_task(lifecycle.engine("w1", 5))
    await asyncio.sleep(0.01)
    shop.gate.set()
    assert await call is shop.made[0]


async def test_an_engine_that_dies_is_replaced(lifecycle: Lifecycle, shop: Workshop) -> None:
    lifecycle.launch(workload())
    first = await lifecycle.engine("w1", 1)
    shop.gate.clear()
    shop.made[0].exited.set()
    assert await lifecycle.lost("w1", first)
    stage = lifecycle.stage("w1")
    assert stage is not None
    assert stage.phase in ("bootstrapping", "provisioning")
    shop.gate.set()
    second = await lifecycle.engine("w1", 1)
    assert second is shop.made[1]
    assert shop.held == 1


async def test_an_engine_that_cannot_come_back_is_an_error_with_its_words(lifecycle: Lifecycle, shop: Workshop) -> None:
    lifecycle.launch(workload())
    engine = await lifecycle.engine("w1", 1)
    shop.failure = EngineError("died 5 times in a row; it said last: out of memory")
    shop.made[0].exited.set()
    assert await lifecycle.lost("w1", engine)
    with pytest.raises(NotServing, match="out of memory"):
        await lifecycle.engine("w1", 1)


async def test_an_unexpected_failure_is_an_error_too(lifecycle: Lifecycle, shop: Workshop) -> None:
    shop.failure = RuntimeError("a bug")
    lifecycle.launch(workload())
    last = (await watch(lifecycle))[-1]
    assert last is not None
    assert (last.phase, "a bug" in last.message) == ("error", False)


async def test_a_change_launches_anew_and_lets_the_old_engine_go(lifecycle: Lifecycle, shop: Workshop) -> None:
    lifecycle.launch(workload())
    await lifecycle.engine("w1", 1)
    lifecycle.launch(workload(model_name="other"))
    last = (await watch(lifecycle))[-1]
    assert last is not None
    assert last.phase == "ready"
    assert shop.held == 1
    assert await lifecycle.engine("w1", 1) is shop.made[-1]


async def test_launches_on_top_of_each_other_leave_one(lifecycle: Lifecycle, shop: Workshop) -> None:
    for _ in range(5):
        lifecycle.launch(workload())
    await lifecycle.engine("w1", 1)
    await asyncio.sleep(0.02)
    assert shop.held == 1
    stage = lifecycle.stage("w1")
    assert stage is not None
    assert stage.phase == "ready"


async def test_a_deleted_workload_lets_go_of_everything(lifecycle: Lifecycle, shop: Workshop) -> None:
    shop.gate.clear()
    lifecycle.launch(workload())
    watcher = asyncio.create_task(watch(lifecycle))
    caller = asyncio.create_task(lifecycle.engine("w1", 5))
    await asyncio.sleep(0.01)
    lifecycle.forget("w1")
    last = (await asyncio.wait_for(watcher, 1))[-1]
    assert last is not None
    assert (last.phase, last.message) == ("error", "the workload was deleted")
    with pytest.raises(NotServing, match="deleted"):
        await asyncio.wait_for(caller, 1)
    assert lifecycle.stage("w1") is None
    with pytest.raises(NotServing):
        await lifecycle.engine("w1", 1)
    assert await watch(lifecycle) == []


async def test_a_stop_lets_go_of_everybody(lifecycle: Lifecycle, shop: Workshop) -> None:
    shop.gate.clear()
    lifecycle.launch(workload())
    watcher = asyncio.create_task(watch(lifecycle))
    caller = asyncio.create_task(lifecycle.engine("w1", 60))
    await asyncio.sleep(0.01)
    lifecycle.close()
    stages = await asyncio.wait_for(watcher, 1)
    assert not [stage for stage in stages if stage and stage.final], "an end without a final phase is a drop"
    with pytest.raises(NotServing, match="stopping") as raised:
        await asyncio.wait_for(caller, 1)
    assert raised.value.temporary


async def test_a_long_download_does_not_pile_up(lifecycle: Lifecycle, shop: Workshop) -> None:
    shop.gate.clear()
    lifecycle.launch(workload())
    await asyncio.sleep(0.01)
    unit = lifecycle._units["w1"]
    async with aclosing(lifecycle.stages("w1", 60)) as stages:
        await anext(stages)
        for n in range(5000):
            unit.step("provisioning", f"step {n}", None)
        shop.gate.set()
        rest = [stage async for stage in stages]
    assert len(rest) <= 1030
    assert rest[-1] is not None
    assert rest[-1].phase == "ready"
