"""The public API as a type checker sees it. Checked by mypy and pyright, never run."""

from __future__ import annotations

import ssl
from typing import Unpack, assert_type

from inferencekey import (
    ApiError,
    ApplyAllError,
    AsyncDataClient,
    AsyncEndpoint,
    AsyncManagementClient,
    AsyncReadinessStream,
    AsyncTextStream,
    AuthError,
    Backend,
    CallOptions,
    ConfigurationError,
    DataClient,
    DeploymentError,
    DriftError,
    EmbeddingResult,
    Endpoint,
    EndpointRef,
    EngineLog,
    EnsureAllError,
    ExecutionPolicy,
    FieldDiff,
    GenerationFailed,
    InferenceKeyError,
    InsecureTransportWarning,
    ManagementClient,
    ManyWorkloadsError,
    NotFoundError,
    OnDrift,
    PermissionDenied,
    Phase,
    Plan,
    PlanLine,
    RateLimitError,
    ReadinessError,
    ReadinessEvent,
    ReadinessStream,
    ReadinessTimeout,
    RequestTimeout,
    RerankItem,
    RerankResult,
    ResponseFormatError,
    RetryPolicy,
    ServerError,
    StreamInterrupted,
    TaskType,
    TextChoice,
    TextChunk,
    TextOptions,
    TextResult,
    TextStream,
    Timeouts,
    TransportError,
    Usage,
    ValidationError,
    WaitAllError,
    Workload,
    WorkloadDriftWarning,
    WorkloadLeftoverWarning,
    WorkloadSpec,
    WorkloadSpecWarning,
)
from inferencekey.deploy import (
    ApplyProgress,
    ApplyStatus,
    AsyncDeployment,
    Deployment,
    LeftAlone,
    ManifestPlan,
    Removal,
    Report,
    read_plan,
    write_plan,
)
from inferencekey.manifest import Lock, dump_manifest, load_manifest, spec_of

SPEC = WorkloadSpec(name="n", slug="s", model="m", backend=Backend.VLLM)
WORDS = WorkloadSpec(
    name="n", slug="s", model="m", backend="my-backend", task_type="embedding", config={"a": 1}
)


def values() -> None:
    assert_type(SPEC.evolve(name="other", backend=Backend.OLLAMA, config=None), WorkloadSpec)
    SPEC.evolve(modle="x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    SPEC.evolve(name=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert_type(WorkloadSpec.from_dict(SPEC.to_dict()), WorkloadSpec)
    assert_type(WorkloadSpec.from_toml(SPEC.to_toml()), WorkloadSpec)


def manifests() -> None:
    manifest = load_manifest("inferencekey.toml", environ={"A": "1"})
    assert_type(manifest.specs, tuple[WorkloadSpec, ...])
    assert_type(manifest.places[0].line, int | None)
    assert_type(dump_manifest(manifest.project, manifest.specs, "yaml"), str)
    dump_manifest(None, [], "xml")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert_type(spec_of(Workload(id="1", slug="s")), WorkloadSpec)
    assert_type(Lock.read(manifest.lock_path), Lock)


async def asynchronous() -> None:
    async with AsyncManagementClient.from_env(project="acme", timeout=Timeouts(total=5)) as mgmt:
        assert_type(mgmt, AsyncManagementClient)
        assert_type(mgmt.base_url, str)
        assert_type(mgmt.project, str | None)
        ref = await mgmt.ensure(SPEC, on_drift=OnDrift.FAIL)
        assert_type(ref, EndpointRef)
        assert_type(ref.workload_slug, str)
        assert_type(ref.plan, Plan | None)
        await mgmt.ensure(WORDS.evolve(name="other"), on_drift="warn", project="p")
        plan = await mgmt.plan(SPEC)
        assert_type(plan.changes, tuple[FieldDiff, ...])
        assert_type(plan.lines(), tuple[PlanLine, ...])
        assert_type(Plan.from_dict(plan.to_dict()), Plan)
        assert_type(await mgmt.apply(plan), EndpointRef)
        assert_type(await mgmt.apply_all((plan,), max_concurrency=3), list[EndpointRef])
        assert_type(
            await mgmt.ensure_all((SPEC, WORDS), on_drift="fail", max_concurrency=3),
            list[EndpointRef],
        )
        assert_type(
            await mgmt.wait_all({"s"}, timeout=None, on_progress=print), list[ReadinessEvent]
        )
        assert_type(await mgmt.logs("s", after=3), EngineLog)
        assert_type(await mgmt.list_workloads(), list[Workload])
        assert_type(await mgmt.get_workload("s"), Workload)
        assert_type(await mgmt.delete("s"), bool)
        assert_type(await mgmt.delete("s", id="w-1"), bool)
        events = mgmt.readiness_events("s")
        assert_type(events, AsyncReadinessStream)
        async for event in events:
            assert_type(event, ReadinessEvent)
            assert_type(event.phase, Phase | str)
        assert_type(events.trouble, ApiError | None)
        await events.aclose()
        assert_type(
            await mgmt.wait_until_ready("s", timeout=None, on_progress=print), ReadinessEvent
        )
        await mgmt.aclose()
    async with AsyncDataClient(
        base_url="http://127.0.0.1:4747",
        project="acme",
        api_key="k",
        retry=None,
        ssl=ssl.create_default_context(),
    ) as data:
        assert_type(data.base_url, str)
        assert_type(AsyncDataClient.from_env().project, str | None)
        ep = data.endpoint("s", api_key="k")
        assert_type(ep, AsyncEndpoint)
        assert_type(ep.project_slug, str)
        assert_type(ep.workload_slug, str)
        result = await ep.generate_text(
            "Hola", temperature=0.2, max_tokens=3, stop=["a"], extra_body={"n": 1}
        )
        assert_type(result, TextResult)
        assert_type(result.usage, Usage | None)
        assert_type(result.choices, tuple[TextChoice, ...])
        async with ep.generate_text_stream(
            messages=[{"role": "user", "content": "x"}], timeout=3
        ) as stream:
            assert_type(stream, AsyncTextStream)
            async for chunk in stream:
                assert_type(chunk, TextChunk)
        assert_type(stream.result, TextResult)
        assert_type(stream.request_id, str | None)
        await stream.aclose()
        assert_type(await ep.generate_text_stream("x"), AsyncTextStream)
        assert_type(await anext(ep.generate_text_stream("x")), TextChunk)
        assert_type((await ep.embed(["a", "b"])).embeddings, list[list[float]])
        assert_type(await ep.rerank("q", ["a"], timeout=Timeouts(total=1)), RerankResult)
        await ep.generate_text("x", top_p=0.5, seed=7, stop="a", timeout=None)
        ask = ep.generate_text
        await ask("x", topp=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
        await ask("x", top_p="")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        await ep.embed("x", seed=7)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
        await data.aclose()


async def wrapped(ep: AsyncEndpoint, **options: Unpack[TextOptions]) -> TextResult:
    call: CallOptions = {"timeout": 3, "extra_body": {"n": 1}}
    await ep.embed("x", **call)
    return await ep.generate_text("x", **options)


def synchronous() -> None:
    with ManagementClient(
        project="acme", sdk_token="ik_sdk_…", retry=RetryPolicy(max_attempts=5)
    ) as mgmt:
        assert_type(ManagementClient.from_env(), ManagementClient)
        assert_type(mgmt.base_url, str)
        assert_type(mgmt.project, str | None)
        assert_type(mgmt.ensure(SPEC), EndpointRef)
        assert_type(mgmt.plan(SPEC), Plan)
        assert_type(mgmt.apply(mgmt.plan(SPEC)), EndpointRef)
        assert_type(mgmt.apply_all([mgmt.plan(SPEC)]), list[EndpointRef])
        assert_type(mgmt.ensure_all([SPEC]), list[EndpointRef])
        assert_type(mgmt.wait_all(["s"], silent=True), list[ReadinessEvent])
        assert_type(mgmt.logs("s").lines, tuple[str, ...])
        events = mgmt.readiness_events("s")
        assert_type(events, ReadinessStream)
        for event in events:
            assert_type(event, ReadinessEvent)
        assert_type(events.trouble, ApiError | None)
        events.close()
        assert_type(mgmt.wait_until_ready("s", silent=True), ReadinessEvent)
        assert_type(mgmt.list_workloads(project="p"), list[Workload])
        assert_type(mgmt.get_workload("s").execution_policy, ExecutionPolicy | str | None)
        assert_type(mgmt.delete("s"), bool)
    with DataClient.from_env(project="acme") as data:
        ep = data.endpoint("s")
        assert_type(ep, Endpoint)
        assert_type(ep.project_slug, str)
        assert_type(ep.workload_slug, str)
        assert_type(ep.generate_text(prompt="Hola"), TextResult)
        stream = ep.generate_text_stream(prompt="Hola")
        assert_type(stream, TextStream)
        for chunk in stream:
            assert_type(chunk.text, str)
        assert_type(stream.result, TextResult)
        assert_type(stream.request_id, str | None)
        stream.close()
        ep.generate_text("x", top_p=0.5, seed=7, timeout=Timeouts())
        ep.generate_text("x", topp=0.5)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
        ep.embed("x", extra_body=3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        assert_type(ep.embed("a"), EmbeddingResult)
        found = ep.rerank("q", ["a", "b"], top_n=1)
        assert_type(found, RerankResult)
        for item in found.results:
            assert_type(item, RerankItem)
        data.close()


def errors(error: DriftError, cut: StreamInterrupted) -> None:
    assert_type(error.plan, Plan | None)
    assert_type(error.status, int | None)
    assert_type(cut.partial_text, str)
    assert_type(cut.result, TextResult | None)
    assert_type(TaskType("embedding"), TaskType)


async def deployments(mgmt: AsyncManagementClient) -> None:
    deployment = AsyncDeployment(mgmt)
    plan = await deployment.plan("inferencekey.toml", project="acme", prune=True)
    assert_type(plan, ManifestPlan)
    assert_type(plan.plans, tuple[Plan, ...])
    assert_type(plan.removals, tuple[Removal, ...])
    assert_type(plan.left_alone, tuple[LeftAlone, ...])
    assert_type(plan.resolve_drift("warn"), ManifestPlan)
    assert_type(plan.slugs_by_project(), dict[str, list[str]])
    assert_type(plan.lines(), tuple[PlanLine, ...])
    assert_type(await deployment.plan_destroy(load_manifest()), ManifestPlan)
    await deployment.check(plan)
    report = await deployment.apply(
        plan, on_drift=OnDrift.WARN, on_progress=progress, should_stop=lambda: False
    )
    assert_type(report, Report)
    assert_type(report.done, tuple[ApplyProgress, ...])
    assert_type(Report.from_progress(plan, report.done), Report)
    client = ManagementClient()
    AsyncDeployment(client)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def sync_deployments(mgmt: ManagementClient) -> None:
    deployment = Deployment(mgmt)
    write_plan(deployment.plan(load_manifest("inferencekey.toml")), "change.plan")
    assert_type(read_plan("change.plan"), ManifestPlan)
    assert_type(deployment.apply(read_plan("change.plan"), on_progress=progress), Report)
    assert_type(deployment.plan_destroy("inferencekey.toml"), ManifestPlan)
    deployment.check(read_plan("change.plan"))
    client = AsyncManagementClient()
    Deployment(client)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def progress(step: ApplyProgress) -> None:
    assert_type(step.status, ApplyStatus)
    assert_type(step.id, str | None)
    assert_type(step.error, Exception | None)


def groups(
    ensured: EnsureAllError,
    applied: ApplyAllError,
    waited: WaitAllError,
    deployed: DeploymentError,
    one: ReadinessError,
) -> None:
    assert_type(ensured.results, tuple[EndpointRef | None, ...])
    assert_type(applied.results, tuple[EndpointRef | None, ...])
    assert_type(deployed.report, Report | None)
    assert_type(waited.results, tuple[ReadinessEvent | None, ...])
    assert_type(one.log, tuple[str, ...])
    assert_type(one.workload, str | None)
    group: ManyWorkloadsError = ensured
    for error in group.exceptions:
        if isinstance(error, DriftError):
            assert_type(error.workload, str | None)


# Which class is caught by which.
EVERY: list[type[InferenceKeyError]] = [
    AuthError,
    ConfigurationError,
    ManyWorkloadsError,
    PermissionDenied,
    ValidationError,
]
OF_THE_API: list[type[ApiError]] = [
    GenerationFailed,
    NotFoundError,
    RateLimitError,
    ReadinessError,
    ReadinessTimeout,
    ResponseFormatError,
    ServerError,
    StreamInterrupted,
    TransportError,
]
TIMEOUTS: list[type[TimeoutError]] = [ReadinessTimeout, RequestTimeout]
WARNINGS: list[type[UserWarning]] = [
    InsecureTransportWarning,
    WorkloadDriftWarning,
    WorkloadLeftoverWarning,
    WorkloadSpecWarning,
]
