"""Managed workloads, with engines that a test controls."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from inferencekey.local.background import Background
from inferencekey.local.clock import ManualClock
from inferencekey.local.engines.engine import Choice, OnStep, RunningEngine
from inferencekey.local.errors import EngineError
from inferencekey.local.manager.manager import NotServing, ReadinessEvent, WorkloadManager
from inferencekey.local.manager.target.scaling import DOWN_SECONDS, IDLE_SECONDS, UP_SECONDS
from inferencekey.local.records import StoredStatus, StoredWorkload

pytestmark = pytest.mark.anyio

DRAIN = 60.0


@attrs.define(eq=False)
class Engine:
    """An engine without a process: it runs until the test sets `exited`."""

    model_name: str = "real-model"
    replica: int = 0
    address: str = "http://127.0.0.1:1"
    api_key: str = "k"
    slots: int = 2
    installed: bool = False
    streams_only: bool = True
    exited: asyncio.Event = attrs.field(factory=asyncio.Event)

    def describe_exit(self) -> str:
        return "the engine ended with signal SIGKILL"


class Workshop:
    """Makes engines when a test allows it. Some names of models make it fail."""

    def __init__(self) -> None:
        self.made: list[Engine] = []
        self.held: list[Engine] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.failing: set[int] = set()
        self.steps = 0
        self.looking = threading.Event()
        self.look = threading.Event()
        self.look.set()

    @property
    def models(self) -> list[str]:
        return sorted(engine.model_name for engine in self.held)

    def choose(self, workload: StoredWorkload) -> Choice:
        self.looking.set()
        assert self.look.wait(5)
        if workload.task_type == "forecast":
            raise EngineError("nothing serves forecast here")
        if workload.model_name == "a bug":
            raise LookupError("a bug")

        @asynccontextmanager
        async def hold(on_step: OnStep, replica: int) -> AsyncGenerator[RunningEngine]:
            on_step("provisioning", "downloading", "download 50 %")
            await self.gate.wait()
            for number in range(self.steps):
                on_step("provisioning", f"step {number}", None)
            if self.failure is not None:
                raise self.failure
            if workload.model_name == "broken" or replica in self.failing:
                raise EngineError(
                    f"{workload.model_name} died 5 times in a row; last output: out of memory"
                )
            on_step("bootstrapping", "starting", None)
            engine = Engine(workload.model_name, replica)
            self.made.append(engine)
            self.held.append(engine)
            try:
                yield engine
            finally:
                self.held.remove(engine)

        return Choice(
            hold,
            lambda model: f"{model} answers",
            lambda replica: None,
            "a tiny one",
            installed=workload.backend == "own",
        )


def workload(name: str = "w1", **fields: Any) -> StoredWorkload:
    given = {"task_type": "text2text", "backend": "vllm", "model_name": "real-model", **fields}
    return StoredWorkload(
        id=name, project="acme", slug=name, name=name, created_at="", updated_at="", **given
    )


def fixed(replicas: int, **fields: Any) -> StoredWorkload:
    return workload(
        execution_policy="fixed", execution_policy_config={"replicas": replicas}, **fields
    )


def scheduled(**when: str) -> StoredWorkload:
    return workload(execution_policy="scheduled", execution_policy_config=when)


def scaled(low: int, high: int) -> StoredWorkload:
    config = {
        "min_workers": low,
        "max_workers": high,
        "workers": {"source": "private", "private_worker_ids": ["w"]},
    }
    return workload(execution_policy="autoscaling", execution_policy_config=config)


@pytest.fixture
def shop() -> Workshop:
    return Workshop()


@pytest.fixture
def saved() -> dict[str, StoredStatus]:
    return {}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2025, 11, 21, 19, 0, tzinfo=UTC))  # a Friday, 20:00 in Madrid


@pytest.fixture
async def manager(
    shop: Workshop, saved: dict[str, StoredStatus], clock: ManualClock, anyio_backend: str
) -> AsyncIterator[WorkloadManager]:
    log = logging.Logger("test")
    tasks = Background(log)
    made = WorkloadManager(
        tasks, shop.choose, saved.update, log, clock=clock, drain=DRAIN, max_replicas=4
    )
    made.start([])
    yield made
    made.close()
    await tasks.aclose()
    assert shop.held == []


async def until(true: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - the conditions of a test have no event
            await asyncio.sleep(0.001)


async def borrowed(
    manager: WorkloadManager, patience: float = 5, avoid: list[Engine] | None = None
) -> RunningEngine:
    """Return the engine that a call gets; the call ends immediately."""
    async with manager.acquire("w1", patience, avoid or ()) as engine:
        return engine


def now(manager: WorkloadManager) -> ReadinessEvent:
    stage = manager.current_event("w1")
    assert stage is not None
    return stage


async def answering(manager: WorkloadManager, shop: Workshop, *models: str) -> None:
    """Wait until exactly these engines run and the workload is ready."""
    await until(lambda: shop.models == sorted(models) and now(manager).phase == "ready")


async def watch(
    manager: WorkloadManager, name: str = "w1", beat: float = 60
) -> list[ReadinessEvent | None]:
    async with aclosing(manager.follow_events(name, beat)) as stages:
        return [stage async for stage in stages]


# Start


async def test_events_from_scheduling_to_ready(
    manager: WorkloadManager, shop: Workshop, saved: dict[str, StoredStatus]
) -> None:
    manager.apply(workload())
    stages = [stage for stage in await watch(manager) if stage is not None]
    assert [stage.phase for stage in stages] == [
        "scheduling",
        "provisioning",
        "provisioning",
        "bootstrapping",
        "ready",
    ]
    assert stages[2].to_wire() == {
        "phase": "provisioning",
        "message": "downloading",
        "elapsed_ms": stages[2].elapsed_ms,
        "step": "download 50 %",
    }
    assert stages[-1].message == "real-model answers"
    assert await borrowed(manager) is shop.made[0]
    await until(lambda: saved.get("w1") and saved["w1"].phase == "ready")
    assert saved["w1"] == StoredStatus(
        phase="ready", message="real-model answers", served_by="real-model", running=1, wanted=1
    )


async def test_a_late_follower_gets_the_current_event(manager: WorkloadManager) -> None:
    manager.apply(workload())
    await watch(manager)
    [stage] = await watch(manager)
    assert stage is not None
    assert stage.phase == "ready"


async def test_a_workload_that_no_engine_serves_is_an_error(manager: WorkloadManager) -> None:
    manager.apply(workload(task_type="forecast"))
    last = (await watch(manager))[-1]
    assert last is not None
    assert last.phase == "error"
    assert last.message.startswith("nothing serves forecast here")
    with pytest.raises(NotServing, match="nothing serves forecast") as raised:
        await borrowed(manager)
    assert (raised.value.reason, raised.value.retry_after) == ("unserved", None)


async def test_heartbeats_come_while_nothing_happens(
    manager: WorkloadManager, shop: Workshop
) -> None:
    shop.gate.clear()
    manager.apply(workload())
    seen: list[ReadinessEvent | None] = []
    async with aclosing(manager.follow_events("w1", 0.01)) as stages:
        async for stage in stages:
            seen.append(stage)
            if seen.count(None) == 3:
                shop.gate.set()
    assert seen.count(None) >= 3
    assert seen[-1] is not None
    assert seen[-1].phase == "ready"


async def test_a_call_waits_a_limited_time_for_an_engine(
    manager: WorkloadManager, shop: Workshop
) -> None:
    shop.gate.clear()
    manager.apply(workload())
    await until(lambda: now(manager).message == "downloading")
    with pytest.raises(
        NotServing, match="still starting \\(provisioning: downloading\\)"
    ) as raised:
        await borrowed(manager, 0.05)
    assert (raised.value.reason, raised.value.retry_after) == ("not_ready", 2)
    call = asyncio.create_task(borrowed(manager))
    await asyncio.sleep(0)
    shop.gate.set()
    assert await call is shop.made[0]


# Engines that die


async def test_an_engine_that_dies_is_replaced(manager: WorkloadManager, shop: Workshop) -> None:
    manager.apply(workload())
    await borrowed(manager)
    shop.gate.clear()
    shop.made[0].exited.set()
    await until(lambda: now(manager).phase != "ready")
    assert now(manager).phase in ("bootstrapping", "provisioning")
    call = asyncio.create_task(borrowed(manager))
    await asyncio.sleep(0)
    shop.gate.set()
    assert await call is shop.made[1]
    await until(lambda: len(shop.held) == 1)


async def test_a_call_whose_engine_is_gone_gets_the_next(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(workload())
    await borrowed(manager)
    call = asyncio.create_task(borrowed(manager, avoid=[shop.made[0]]))
    await asyncio.sleep(0.01)
    assert not call.done()
    shop.made[0].exited.set()
    assert await call is shop.made[1]


async def test_an_engine_that_runs_but_does_not_respond(
    manager: WorkloadManager, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferencekey.local.manager.calls.NOTICE_SECONDS", 0.02)
    manager.apply(workload())
    await borrowed(manager)
    with pytest.raises(NotServing, match="does not respond") as raised:
        await borrowed(manager, avoid=[shop.made[0]])
    assert raised.value.reason == "died"


async def test_an_engine_that_cannot_restart_is_an_error_with_its_last_output(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(workload())
    await borrowed(manager)
    shop.failure = EngineError("died 5 times in a row; last output: out of memory")
    shop.made[0].exited.set()
    await until(lambda: now(manager).phase == "error")
    with pytest.raises(NotServing, match="out of memory") as raised:
        await borrowed(manager)
    assert raised.value.reason == "error"


async def test_a_waiting_call_fails_when_the_engine_fails(
    manager: WorkloadManager, shop: Workshop
) -> None:
    shop.gate.clear()
    manager.apply(workload(model_name="broken"))
    call = asyncio.create_task(borrowed(manager, 60))
    await until(lambda: now(manager).message == "downloading")
    shop.gate.set()
    with pytest.raises(NotServing, match="out of memory"):
        await asyncio.wait_for(call, 5)


@pytest.mark.parametrize("where", ["hold", "choose"])
async def test_an_unexpected_failure_of_one_workload_does_not_affect_others(
    manager: WorkloadManager, shop: Workshop, where: str
) -> None:
    if where == "hold":
        shop.failure = LookupError("a bug")
    manager.apply(workload(model_name="a bug" if where == "choose" else "m"))
    last = (await watch(manager))[-1]
    assert last is not None
    assert (last.phase, "internal error" in last.message, "a bug" in last.message) == (
        "error",
        True,
        False,
    )
    shop.failure = None
    manager.apply(workload("w2"))
    manager.apply(workload())
    assert (await watch(manager, "w2"))[-1].phase == "ready"  # type: ignore[union-attr]
    await answering(manager, shop, "real-model", "real-model")


async def test_a_policy_that_a_newer_version_refuses_is_an_error(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(scheduled(window="whenever"))
    last = (await watch(manager))[-1]
    assert last is not None
    assert (last.phase, "window" in last.message) == ("error", True)
    manager.apply(workload())
    await answering(manager, shop, "real-model")


# Changes


async def test_the_old_engine_serves_until_the_new_one_does(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(workload(model_name="old"))
    await borrowed(manager)
    shop.gate.clear()
    manager.apply(workload(model_name="new"))
    assert now(manager).phase == "scheduling", (
        "who waits for ready from now on waits for the new one"
    )
    await until(lambda: now(manager).message == "downloading")
    async with manager.acquire("w1", 0.1) as engine:
        assert engine.model_name == "old"
        shop.gate.set()
        last = (await watch(manager))[-1]
        assert last is not None
        assert (last.phase, last.message) == ("ready", "new answers")
        assert (await borrowed(manager)).model_name == "new"
        assert shop.models == ["new", "old"], "the old one has a call"
    await answering(manager, shop, "new")


async def test_a_drain_takes_a_limited_time(
    manager: WorkloadManager, shop: Workshop, clock: ManualClock
) -> None:
    manager.apply(workload(model_name="old"))
    async with manager.acquire("w1", 5) as engine:
        assert engine.model_name == "old"
        manager.apply(workload(model_name="new"))
        await answering(manager, shop, "new", "old")
        await clock.advance(DRAIN - 1)
        assert shop.models == ["new", "old"]
        await clock.advance(1)
        await answering(manager, shop, "new")


async def test_a_change_that_cannot_start_keeps_the_old_engine(
    manager: WorkloadManager, shop: Workshop, saved: dict[str, StoredStatus]
) -> None:
    manager.apply(workload(model_name="old"))
    await borrowed(manager)
    manager.apply(workload(model_name="broken"))
    last = (await watch(manager))[-1]
    assert last is not None
    assert last.phase == "error"
    assert last.message.startswith("broken died 5 times in a row; last output: out of memory")
    assert "the engine from before the change still serves calls" in last.message
    assert (await borrowed(manager)).model_name == "old"
    await until(lambda: saved["w1"].phase == "error")
    assert (saved["w1"].served_by, saved["w1"].running) == ("old", 1)
    manager.apply(workload(model_name="new"))
    await answering(manager, shop, "new")


async def test_a_change_that_no_engine_serves_keeps_the_old_engine(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(workload(model_name="old"))
    await borrowed(manager)
    manager.apply(workload(task_type="forecast", model_name="new"))
    await until(lambda: now(manager).phase == "error")
    assert (await borrowed(manager)).model_name == "old"
    manager.apply(workload(model_name="old"))
    await answering(manager, shop, "old")


async def test_an_old_engine_that_dies_during_a_change_is_not_waited_for(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(workload(model_name="old"))
    await borrowed(manager)
    shop.gate.clear()
    manager.apply(workload(model_name="new"))
    await until(lambda: now(manager).message == "downloading")
    shop.made[0].exited.set()
    await until(lambda: not shop.held)
    shop.gate.set()
    await answering(manager, shop, "new")


async def test_a_change_of_other_fields_keeps_the_engine(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(workload())
    await borrowed(manager)
    manager.apply(workload(description="another"))
    manager.apply(fixed(1))
    await asyncio.sleep(0.02)
    assert now(manager).phase == "ready"
    assert len(shop.made) == 1


async def test_is_stand_in_is_true_only_while_it_is_certain(
    manager: WorkloadManager, shop: Workshop
) -> None:
    assert not manager.is_stand_in("w1")
    manager.apply(scaled(0, 1))
    assert not manager.is_stand_in("w1")
    await until(lambda: now(manager).phase == "ready")
    assert manager.is_stand_in("w1")
    await borrowed(manager)
    shop.gate.clear()
    manager.apply(attrs.evolve(scaled(0, 1), backend="own"))
    assert not manager.is_stand_in("w1")
    await until(lambda: now(manager).message == "downloading")
    assert not manager.is_stand_in("w1")
    shop.gate.set()
    await until(lambda: now(manager).phase == "ready")
    assert not manager.is_stand_in("w1")


async def test_of_several_changes_the_last_one_counts(
    manager: WorkloadManager, shop: Workshop
) -> None:
    for number in range(5):
        manager.apply(workload(model_name=f"m{number}"))
        if number == 2:
            await borrowed(manager)
    await answering(manager, shop, "m4")


async def test_a_change_during_an_unexpected_error_is_not_lost(
    manager: WorkloadManager, shop: Workshop
) -> None:
    shop.look.clear()
    manager.apply(workload(model_name="a bug"))
    await until(shop.looking.is_set)
    manager.apply(workload(model_name="new"))
    shop.look.set()
    await answering(manager, shop, "new")


async def test_any_change_retries_a_failed_workload(
    manager: WorkloadManager, shop: Workshop
) -> None:
    shop.failure = EngineError("no memory")
    manager.apply(workload())
    await until(lambda: now(manager).phase == "error")
    shop.failure = None
    manager.apply(workload())
    await answering(manager, shop, "real-model")


# Replicas


async def test_calls_go_to_the_engine_with_the_fewest(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(fixed(3))
    await until(lambda: len(shop.held) == 3 and "3 of 3" in now(manager).message)
    assert sorted(engine.replica for engine in shop.held) == [0, 1, 2]
    async with AsyncExitStack() as calls:
        got = [await calls.enter_async_context(manager.acquire("w1", 1)) for _ in range(6)]
        assert sorted(engine.replica for engine in shop.made) == sorted(
            {id(e): e.replica for e in got}.values()
        )  # type: ignore[attr-defined]
        assert all(got.count(engine) == 2 for engine in shop.made)
        async with manager.acquire("w1", 1) as seventh, manager.acquire("w1", 1) as eighth:
            assert seventh is not eighth
    in_turn = [await borrowed(manager) for _ in range(6)]
    assert all(in_turn.count(engine) == 2 for engine in shop.made), "all are idle: they take turns"


async def test_a_change_of_the_number_keeps_the_other_replicas(
    manager: WorkloadManager, shop: Workshop, saved: dict[str, StoredStatus]
) -> None:
    manager.apply(fixed(1))
    await borrowed(manager)
    manager.apply(fixed(3))
    await until(lambda: "3 of 3" in now(manager).message)
    assert now(manager).phase == "ready"
    assert shop.made[0] in shop.held
    await until(lambda: "w1" in saved)  # a thread stores it
    await until(lambda: (saved["w1"].running, saved["w1"].wanted) == (3, 3))
    last = next(engine for engine in shop.made if engine.replica == 2)
    others = [engine for engine in shop.held if engine is not last]
    async with AsyncExitStack() as calls:
        while await calls.enter_async_context(manager.acquire("w1", 1)) is not last:
            pass
        manager.apply(fixed(2))
        await until(lambda: "2 of 2" in now(manager).message)
        assert last in shop.held, "it has a call"
        assert {id(await borrowed(manager)) for _ in range(8)} <= {id(engine) for engine in others}
    await until(lambda: shop.held == others)


async def test_one_of_two_replicas_serves_when_the_other_dies(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(fixed(2))
    await until(lambda: "2 of 2" in now(manager).message)
    shop.gate.clear()
    dead, alive = shop.made
    dead.exited.set()
    await until(lambda: "1 of 2" in now(manager).message)
    assert now(manager).phase == "ready"
    assert {id(await borrowed(manager)) for _ in range(4)} == {id(alive)}
    shop.gate.set()
    await until(lambda: "2 of 2" in now(manager).message)


async def test_the_message_names_a_replica_that_cannot_start(
    manager: WorkloadManager, shop: Workshop
) -> None:
    shop.failing = {1}
    manager.apply(fixed(2))
    await until(lambda: "1 of 2 replicas (real-model died 5 times" in now(manager).message)
    assert now(manager).phase == "ready"
    assert (await borrowed(manager)) is shop.made[0]
    shop.failing = set()
    manager.apply(fixed(2, description="try again"))
    await until(lambda: "2 of 2" in now(manager).message)
    assert len(shop.made) == 2, "the one that serves is kept"


async def test_a_change_replaces_all_replicas_or_none(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(fixed(2, model_name="old"))
    await until(lambda: "2 of 2" in now(manager).message)
    shop.failing = {1}
    manager.apply(fixed(2, model_name="new"))
    await until(lambda: now(manager).phase == "error")
    await until(lambda: shop.models == ["old", "old"])
    shop.failing = set()
    manager.apply(fixed(2, model_name="new"))
    await answering(manager, shop, "new", "new")


async def test_the_number_of_replicas_is_limited_on_this_machine(
    manager: WorkloadManager, shop: Workshop
) -> None:
    manager.apply(fixed(100))
    await until(lambda: "4 of 4" in now(manager).message)
    assert (
        "100 replicas were requested, but this machine runs at most 4 for a workload"
        in now(manager).message
    )
    assert len(shop.held) == 4


# Schedules


async def test_a_window_opens_and_closes(
    manager: WorkloadManager, shop: Workshop, clock: ManualClock
) -> None:
    manager.apply(scheduled(window="Mon-Fri 08:00-20:00 Europe/Madrid"))
    await until(lambda: "outside its window" in now(manager).message)
    assert now(manager).phase == "scheduling"
    assert now(manager).message.endswith("; starts Mon 2025-11-24 08:00 Europe/Madrid")
    with pytest.raises(NotServing, match="outside its window") as raised:
        await borrowed(manager)
    assert (raised.value.reason, raised.value.retry_after) == ("not_scheduled", 3600)
    assert not shop.made
    await clock.advance(60 * 3600 - 30)
    with pytest.raises(NotServing) as raised:
        await borrowed(manager)
    assert raised.value.retry_after == 30
    await clock.advance(30)
    assert (await borrowed(manager)) is shop.made[0]
    async with manager.acquire("w1", 1):
        await clock.advance(12 * 3600)
        assert now(manager).phase == "scheduling"
        with pytest.raises(NotServing, match="starts Tue 2025-11-25 08:00"):
            await borrowed(manager)
        assert shop.held, "a call in progress is not cut"
    await until(lambda: not shop.held)


async def test_a_cron_schedule_starts_an_engine_and_stops_it_without_calls(
    manager: WorkloadManager, shop: Workshop, clock: ManualClock
) -> None:
    manager.apply(scheduled(cron="0 2 * * *"))
    await until(lambda: now(manager).message.endswith("starts Sat 2025-11-22 02:00 UTC"))
    with pytest.raises(NotServing) as raised:
        await borrowed(manager)
    assert raised.value.reason == "not_scheduled"
    await clock.advance(7 * 3600)
    await answering(manager, shop, "real-model")
    await clock.advance(200)
    async with manager.acquire("w1", 1):
        await clock.advance(1000)
        assert shop.held, "it has a call"
    await clock.advance(299)
    assert shop.held
    await clock.advance(2)
    await until(lambda: not shop.held)
    assert now(manager).message.endswith("starts Sun 2025-11-23 02:00 UTC")


async def test_a_change_outside_the_schedule_starts_nothing(
    manager: WorkloadManager, shop: Workshop, clock: ManualClock
) -> None:
    manager.apply(scheduled(cron="0 2 * * *"))
    await until(lambda: now(manager).phase == "scheduling" and "between" in now(manager).message)
    manager.apply(attrs.evolve(scheduled(cron="0 2 * * *"), model_name="new"))
    await until(lambda: "between" in now(manager).message)
    assert not shop.made
    await clock.advance(7 * 3600)
    await answering(manager, shop, "new")


async def test_a_failed_start_is_retried_at_the_next_fire(
    manager: WorkloadManager, shop: Workshop, clock: ManualClock
) -> None:
    manager.apply(scheduled(cron="0 2 * * *"))
    await until(lambda: "between" in now(manager).message)
    shop.failure = EngineError("no memory")
    await clock.advance(7 * 3600)
    await until(lambda: now(manager).phase == "error")
    shop.failure = None
    await clock.advance(3600)
    await until(lambda: now(manager).phase == "scheduling")
    await clock.advance(23 * 3600)
    await answering(manager, shop, "real-model")


# Load


async def test_a_call_starts_a_workload_that_is_scaled_to_zero(
    manager: WorkloadManager, shop: Workshop, clock: ManualClock, saved: dict[str, StoredStatus]
) -> None:
    manager.apply(scaled(0, 3))
    await until(lambda: now(manager).phase == "ready")
    assert now(manager).message == "scaled to zero; the next call starts it"
    assert not shop.made
    assert (await borrowed(manager)) is shop.made[0]
    await answering(manager, shop, "real-model")
    await clock.advance(IDLE_SECONDS - 1)
    assert (await borrowed(manager)) is shop.made[0]
    await clock.advance(IDLE_SECONDS - 1)
    assert shop.held
    await clock.advance(1)
    await until(lambda: not shop.held)
    assert now(manager).phase == "ready"
    await until(lambda: (saved["w1"].running, saved["w1"].wanted) == (0, 0))


async def test_a_cold_call_waits_a_limited_time(manager: WorkloadManager, shop: Workshop) -> None:
    shop.gate.clear()
    manager.apply(scaled(0, 1))
    await until(lambda: now(manager).phase == "ready")
    with pytest.raises(NotServing, match="still starting") as raised:
        await borrowed(manager, 0.05)
    assert raised.value.reason == "not_ready"
    shop.gate.set()
    await answering(manager, shop, "real-model")


async def test_a_failed_cold_start_is_retried_by_a_later_call(
    manager: WorkloadManager, shop: Workshop, clock: ManualClock
) -> None:
    shop.failure = EngineError("no memory")
    manager.apply(scaled(0, 1))
    await until(lambda: now(manager).phase == "ready")
    with pytest.raises(NotServing, match="no memory"):
        await borrowed(manager)
    assert now(manager).phase == "error"
    await clock.advance(IDLE_SECONDS)
    await until(lambda: now(manager).phase == "ready")
    assert now(manager).message.endswith("(the last start failed: no memory)")
    shop.failure = None
    assert (await borrowed(manager)) is shop.made[0]


async def test_engines_follow_the_load(
    manager: WorkloadManager, shop: Workshop, clock: ManualClock
) -> None:
    """Each engine computes two calls at the same time."""
    manager.apply(scaled(1, 3))
    await answering(manager, shop, "real-model")
    async with AsyncExitStack() as calls:
        for _ in range(5):
            await calls.enter_async_context(manager.acquire("w1", 1))
        await clock.advance(UP_SECONDS / 2)
        assert len(shop.held) == 1
        await clock.advance(UP_SECONDS / 2)
        await until(lambda: "3 of 3" in now(manager).message)
        for _ in range(20):
            await calls.enter_async_context(manager.acquire("w1", 1))
        await clock.advance(10 * UP_SECONDS)
        assert len(shop.held) == 3, "never more than the maximum"
    await clock.advance(DOWN_SECONDS)
    await until(lambda: len(shop.held) == 1)
    await clock.advance(10 * IDLE_SECONDS)
    assert len(shop.held) == 1, "never fewer than the minimum"


# End


async def test_deleting_a_workload_ends_waiting_and_engines(
    manager: WorkloadManager, shop: Workshop
) -> None:
    shop.gate.clear()
    manager.apply(workload())
    watcher = asyncio.create_task(watch(manager))
    caller = asyncio.create_task(borrowed(manager))
    await until(lambda: now(manager).message == "downloading")
    manager.forget("w1")
    last = (await asyncio.wait_for(watcher, 1))[-1]
    assert last is not None
    assert (last.phase, last.message) == ("error", "the workload was deleted")
    with pytest.raises(NotServing, match="deleted") as raised:
        await asyncio.wait_for(caller, 1)
    assert raised.value.reason == "deleted"
    assert manager.current_event("w1") is None
    with pytest.raises(NotServing):
        await borrowed(manager)
    assert await watch(manager) == []


async def test_a_deleted_workload_finishes_its_calls(
    manager: WorkloadManager, shop: Workshop, clock: ManualClock
) -> None:
    manager.apply(workload())
    async with manager.acquire("w1", 5):
        manager.forget("w1")
        await asyncio.sleep(0.01)
        assert shop.held
        with pytest.raises(NotServing):
            await borrowed(manager)
        await clock.advance(DRAIN)
        await until(lambda: not shop.held)


async def test_deleting_before_the_first_start(manager: WorkloadManager, shop: Workshop) -> None:
    manager.apply(workload())
    manager.forget("w1")
    await asyncio.sleep(0.02)
    assert not shop.made


async def test_deleting_while_an_engine_is_chosen(manager: WorkloadManager, shop: Workshop) -> None:
    shop.look.clear()
    manager.apply(workload())
    await until(shop.looking.is_set)
    manager.forget("w1")
    shop.look.set()
    manager.apply(workload("w2", model_name="another"))
    assert (await watch(manager, "w2"))[-1].phase == "ready"  # type: ignore[union-attr]
    assert shop.models == ["another"]


async def test_closing_ends_all_waiting_and_following(
    manager: WorkloadManager, shop: Workshop
) -> None:
    shop.gate.clear()
    manager.apply(workload())
    watcher = asyncio.create_task(watch(manager))
    caller = asyncio.create_task(borrowed(manager, 60))
    await until(lambda: now(manager).message == "downloading")
    manager.close()
    stages = await asyncio.wait_for(watcher, 1)
    assert not [stage for stage in stages if stage and stage.final], (
        "an end without a final phase is a drop"
    )
    with pytest.raises(NotServing, match="stopping") as raised:
        await asyncio.wait_for(caller, 1)
    assert (raised.value.reason, raised.value.retry_after) == ("stopping", 2)


async def test_the_events_of_a_long_download_are_bounded(
    manager: WorkloadManager, shop: Workshop
) -> None:
    shop.gate.clear()
    shop.steps = 5000
    manager.apply(workload())
    async with aclosing(manager.follow_events("w1", 60)) as stages:
        await anext(stages)
        shop.gate.set()
        rest = [stage async for stage in stages]
    assert len(rest) <= 1030
    assert rest[-1] is not None
    assert rest[-1].phase == "ready"
