"""The control plane: the async and the sync client against the local platform."""

from __future__ import annotations

import asyncio
import json
import threading
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from platforms.up import Up

from inferencekey import (
    AsyncManagementClient,
    AuthError,
    Backend,
    ConfigurationError,
    DriftError,
    EndpointRef,
    ManagementClient,
    NotFoundError,
    OnDrift,
    PermissionDenied,
    Plan,
    ReadinessError,
    ReadinessEvent,
    ReadinessTimeout,
    TaskType,
    ValidationError,
    WaitAllError,
    WorkloadDriftWarning,
    WorkloadSpec,
)

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


@pytest.fixture
async def mgmt(up: Up) -> AsyncIterator[AsyncManagementClient]:
    async with AsyncManagementClient(
        base_url=up.base_url, project="acme", sdk_token=up.sdk_token
    ) as client:
        yield client


@pytest.fixture
def spec() -> WorkloadSpec:
    name = f"t-{uuid4().hex[:8]}"
    return WorkloadSpec(
        name=name,
        slug=name,
        model="m/one",
        backend=Backend.VLLM,
        command="vllm serve m/one",
        config={"extra": {"a": 1}},
    )


async def test_ensure_creates_then_changes_nothing(
    mgmt: AsyncManagementClient, spec: WorkloadSpec
) -> None:
    first = await mgmt.ensure(spec)
    assert first == EndpointRef("acme", spec.slug)
    assert first.plan is not None
    assert first.plan.action == "create"
    second = await mgmt.ensure(spec)
    assert second == first
    assert second.plan is not None
    assert (second.plan.action, second.plan.changes) == ("none", ())
    live = await mgmt.get_workload(spec.slug)
    assert live.config == {"extra": {"a": 1}, "command": "vllm serve m/one"}
    assert (live.backend, live.task_type, live.model_name) == (
        Backend.VLLM,
        TaskType.TEXT2TEXT,
        "m/one",
    )
    assert live.created_at is not None


async def test_reconcile_changes_only_the_fields_that_drifted(
    mgmt: AsyncManagementClient, spec: WorkloadSpec
) -> None:
    await mgmt.ensure(spec)
    changed = spec.evolve(command="vllm serve m/one --x", config={"extra": {"b": 2}})
    ref = await mgmt.ensure(changed)
    assert ref.plan is not None
    assert [c.field for c in ref.plan.changes] == ["config"]
    live = await mgmt.get_workload(spec.slug)
    assert live.config == {"extra": {"a": 1, "b": 2}, "command": "vllm serve m/one --x"}


@pytest.mark.parametrize(
    "mode", [OnDrift.DRY_RUN, "dry_run", OnDrift.IGNORE, OnDrift.WARN, OnDrift.FAIL, "fail"]
)
async def test_the_other_modes_change_nothing(
    mgmt: AsyncManagementClient, spec: WorkloadSpec, mode: OnDrift | str
) -> None:
    await mgmt.ensure(spec)
    before = await mgmt.get_workload(spec.slug)
    drifted = spec.evolve(name="other", description="d")
    if mode == "fail":
        with pytest.raises(
            DriftError, match="^workload drifted from spec: name, description$"
        ) as caught:
            await mgmt.ensure(drifted, on_drift=mode)
        assert isinstance(caught.value, ValidationError)
        assert caught.value.plan is not None
        assert [c.field for c in caught.value.plan.changes] == ["name", "description"]
    elif mode == "warn":
        with pytest.warns(WorkloadDriftWarning, match="name, description") as warned:
            await mgmt.ensure(drifted, on_drift=mode)
        assert [w.filename for w in warned] == [__file__]
    else:
        ref = await mgmt.ensure(drifted, on_drift=mode)
        assert ref.plan is not None
        assert ref.plan.action == "update"
    assert await mgmt.get_workload(spec.slug) == before


async def test_dry_run_of_an_absent_workload(
    mgmt: AsyncManagementClient, spec: WorkloadSpec
) -> None:
    ref = await mgmt.ensure(spec, on_drift="dry_run")
    assert ref.plan is not None
    assert ref.plan.action == "create"
    with pytest.raises(NotFoundError):
        await mgmt.get_workload(spec.slug)
    assert (await mgmt.plan(spec)).action == "create"


async def test_fifty_concurrent_callers_create_one_workload(
    mgmt: AsyncManagementClient, spec: WorkloadSpec
) -> None:
    refs = await asyncio.gather(*(mgmt.ensure(spec) for _ in range(50)))
    assert set(refs) == {EndpointRef("acme", spec.slug)}
    assert [w.slug for w in await mgmt.list_workloads() if w.slug.startswith(spec.slug)] == [
        spec.slug
    ]


def test_threads_with_their_own_clients_create_one_workload(up: Up, spec: WorkloadSpec) -> None:
    barrier = threading.Barrier(8)

    def provision(_: int) -> EndpointRef:
        with ManagementClient(
            base_url=up.base_url, project="acme", sdk_token=up.sdk_token
        ) as client:
            barrier.wait()
            return client.ensure(spec)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(provision, range(8))) == {EndpointRef("acme", spec.slug)}
    with ManagementClient(base_url=up.base_url, project="acme", sdk_token=up.sdk_token) as client:
        assert [w.slug for w in client.list_workloads() if w.slug.startswith(spec.slug)] == [
            spec.slug
        ]


async def test_delete(mgmt: AsyncManagementClient, spec: WorkloadSpec) -> None:
    await mgmt.ensure(spec)
    assert await mgmt.delete(spec.slug.upper().replace("-", "_")) is True
    assert await mgmt.delete(spec.slug) is False


async def test_delete_by_id_leaves_another_workload_alone(
    mgmt: AsyncManagementClient, spec: WorkloadSpec
) -> None:
    await mgmt.ensure(spec)
    seen = await mgmt.get_workload(spec.slug)
    await mgmt.delete(spec.slug)
    assert await mgmt.delete(spec.slug, id=seen.id) is False
    await mgmt.ensure(spec)
    with pytest.raises(DriftError, match=r"no longer has the id .* It was not deleted now\.$"):
        await mgmt.delete(spec.slug, id=seen.id)
    now = await mgmt.get_workload(spec.slug)
    assert await mgmt.delete(spec.slug, id=now.id) is True


async def test_readiness(
    mgmt: AsyncManagementClient, spec: WorkloadSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    await mgmt.ensure(spec)
    seen: list[ReadinessEvent] = []
    last = await mgmt.wait_until_ready(spec.slug, on_progress=seen.append)
    assert last == seen[-1]
    assert last.phase == "ready"
    assert "SmolLM2-135M-Instruct" in last.message
    assert "m/one" in last.message
    assert capsys.readouterr() == ("", "")
    events = [event async for event in mgmt.readiness_events(spec.slug)]
    assert [e.phase for e in events] == ["ready"]
    await mgmt.wait_until_ready(spec.slug)
    assert "ready" in capsys.readouterr().err


async def test_a_task_type_without_an_engine_ends_in_error(
    mgmt: AsyncManagementClient, spec: WorkloadSpec
) -> None:
    await mgmt.ensure(spec.evolve(task_type=TaskType.TEXT2VIDEO))
    with pytest.raises(ReadinessError, match="text2video") as caught:
        await mgmt.wait_until_ready(spec.slug, silent=True)
    assert caught.value.events[-1].phase == "error"


async def test_waiting_for_an_unknown_workload_raises(
    mgmt: AsyncManagementClient, spec: WorkloadSpec
) -> None:
    with pytest.raises(NotFoundError):
        await mgmt.wait_until_ready(spec.slug, silent=True, timeout=5)


async def test_a_wait_ends_at_its_timeout(
    up: Up, spec: WorkloadSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nothing listens on this port, so every connection fails until the timeout.
    gone = AsyncManagementClient(
        base_url="http://127.0.0.1:9", project="acme", sdk_token=up.sdk_token
    )
    async with gone, asyncio.timeout(3):
        with pytest.raises(ReadinessTimeout) as caught:
            await gone.wait_until_ready(spec.slug, timeout=1.2)
    assert isinstance(caught.value, TimeoutError)
    assert "the last connection failed: network error: " in str(caught.value)
    assert "no connection, trying again" in capsys.readouterr().err


def test_callbacks_run_in_the_calling_thread(up: Up, spec: WorkloadSpec) -> None:
    threads: list[str] = []
    with ManagementClient(base_url=up.base_url, project="acme", sdk_token=up.sdk_token) as client:
        client.ensure(spec)
        client.wait_until_ready(
            spec.slug, on_progress=lambda _: threads.append(threading.current_thread().name)
        )
        assert set(threads) == {threading.current_thread().name}
        with pytest.raises(ZeroDivisionError):
            client.wait_until_ready(spec.slug, on_progress=lambda _: 1 / 0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client.ensure(spec.evolve(name="other"), on_drift="warn")
        assert [(w.category, w.filename) for w in caught] == [(WorkloadDriftWarning, __file__)]
        with client.readiness_events(spec.slug) as events:
            assert [e.phase for e in events] == ["ready"]


async def test_permission_and_authentication_errors(
    mgmt: AsyncManagementClient, up: Up, spec: WorkloadSpec
) -> None:
    with pytest.raises(PermissionDenied, match=r"^permission denied \[project_scope_mismatch\]: "):
        await mgmt.ensure(spec, project="other")
    unknown = "ik_sdk_00000000_" + "0" * 64
    async with AsyncManagementClient(
        base_url=up.base_url, project="acme", sdk_token=unknown
    ) as stranger:
        with pytest.raises(AuthError, match="^authentication failed: ") as caught:
            await stranger.list_workloads()
    assert unknown not in str(caught.value) + repr(caught.value.__dict__)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"name": " "}, ValidationError, "validation error: name must not be empty"),
        ({"slug": "---"}, ValidationError, "validation error: slug"),
        ({"model": ""}, ValidationError, "validation error: model must not be empty"),
        (
            {"task_type": "text2smell"},
            ValidationError,
            "validation error: task_type must be one of",
        ),
        ({"project": "other"}, ConfigurationError, "project='acme' was passed"),
        (
            {"description": "ik_live_0a1b2c3d_ffff"},
            ConfigurationError,
            "secrets must never go in specs",
        ),
        (
            {"command": "serve --api-key ik_live_0a1b2c3d_ffff"},
            ConfigurationError,
            "secrets must never go in specs",
        ),
    ],
)
async def test_invalid_specs_are_refused_before_any_request(
    spec: WorkloadSpec, change: dict[str, str], error: type[Exception], text: str
) -> None:
    nowhere = AsyncManagementClient(
        base_url="http://127.0.0.1:9", sdk_token="ik_sdk_0a1b2c3d_" + "0" * 64
    )
    async with nowhere:
        with pytest.raises(error, match=text):
            await nowhere.ensure(spec.evolve(**change), project="acme")


async def test_a_plan_from_a_file_can_be_applied_once(
    mgmt: AsyncManagementClient, spec: WorkloadSpec
) -> None:
    plan = Plan.from_dict(json.loads(json.dumps((await mgmt.plan(spec)).to_dict())))
    ref = await mgmt.apply(plan)
    live = await mgmt.get_workload(spec.slug)
    assert (ref, ref.plan and ref.plan.workload_id) == (EndpointRef("acme", spec.slug), live.id)
    with pytest.raises(DriftError, match="exists now. Plan again."):
        await mgmt.apply(plan)
    update = await mgmt.plan(spec.evolve(command="vllm serve m/one --x"))
    await mgmt.ensure(spec.evolve(description="d"))
    with pytest.raises(DriftError, match="was changed since: description. Plan again.") as caught:
        await mgmt.apply(update)
    assert caught.value.plan is not None
    assert [change.field for change in caught.value.plan.changes] == ["config"]
    await mgmt.apply(await mgmt.plan(spec.evolve(command="vllm serve m/one --x")))
    live = await mgmt.get_workload(spec.slug)
    assert (live.config or {})["command"] == "vllm serve m/one --x"


async def test_concurrent_applies_of_one_plan_create_one_workload(
    mgmt: AsyncManagementClient, spec: WorkloadSpec
) -> None:
    plan = await mgmt.plan(spec)
    outcomes = await asyncio.gather(*(mgmt.apply(plan) for _ in range(20)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(EndpointRef) == 1
    assert [type(outcome) for outcome in outcomes].count(DriftError) == 19
    assert [w.slug for w in await mgmt.list_workloads() if w.slug.startswith(spec.slug)] == [
        spec.slug
    ]


async def test_many_workloads(mgmt: AsyncManagementClient, spec: WorkloadSpec) -> None:
    specs = [
        spec.evolve(slug=f"{spec.slug}-{n}", name=f"{n}", task_type=task)
        for n, task in enumerate(TaskType)
    ]
    refs = await mgmt.ensure_all(specs)
    assert [ref.workload_slug for ref in refs] == [one.slug for one in specs]
    assert {ref.plan.action for ref in refs if ref.plan is not None} == {"create"}
    again = await mgmt.ensure_all(specs)
    assert {ref.plan.action for ref in again if ref.plan is not None} == {"none"}
    with pytest.raises(WaitAllError) as caught:
        await mgmt.wait_all([ref.workload_slug for ref in refs], silent=True, timeout=60)
    ready = {
        one.slug
        for one, event in zip(specs, caught.value.results, strict=True)
        if event is not None
    }
    failed = {
        error.workload for error in caught.value.exceptions if isinstance(error, ReadinessError)
    }
    assert ready | failed == {one.slug for one in specs}
    assert specs[0].slug in ready
    for one in specs:
        await mgmt.delete(one.slug)


async def test_the_log_of_an_engine(mgmt: AsyncManagementClient, spec: WorkloadSpec) -> None:
    await mgmt.ensure(spec)
    await mgmt.wait_until_ready(spec.slug, silent=True)
    log = await mgmt.logs(spec.slug, lines=5)
    assert log.engine
    assert 0 < len(log.lines) <= 5
    later = await mgmt.logs(spec.slug, after=log.next)
    assert later.next >= log.next
    with pytest.raises(NotFoundError, match="has no workload 'absent'"):
        await mgmt.logs("absent")
