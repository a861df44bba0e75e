"""``ensure_all`` and ``apply``, async and sync, against a real HTTP server."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faults.calls import TOKEN
from faults.plane import Plane
from faults.plane import call as plainly
from faults.server import Request

from inferencekey import (
    AsyncManagementClient,
    AuthError,
    ConfigurationError,
    DriftError,
    EndpointRef,
    EnsureAllError,
    ManagementClient,
    Plan,
    RetryPolicy,
    ServerError,
    ValidationError,
    WorkloadDriftWarning,
    WorkloadSpec,
    WorkloadSpecWarning,
)

WAYS = pytest.mark.parametrize("way", ["async", "sync"])
QUICK = RetryPolicy(base=0.01)


@pytest.fixture
def plane() -> Iterator[Plane]:
    with Plane() as server:
        yield server


call = functools.partial(plainly, retry=QUICK)


def until(condition: Callable[[], bool]) -> None:
    """Wait until another thread has made the condition true."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def spec(slug: str, **fields: Any) -> WorkloadSpec:
    return WorkloadSpec(**{"name": slug, "slug": slug, "model": "m", "backend": "ollama", **fields})


# ensure_all


@WAYS
def test_ensure_all_lists_each_project_once_and_keeps_the_order(way: str, plane: Plane) -> None:
    plane.add("there")
    plane.add("old", model_name="other")
    specs = [
        *(spec(f"new-{n}") for n in range(9)),
        spec("Old"),
        spec("there"),
        spec("else", project="b"),
    ]
    refs = call(way, plane, "ensure_all", iter(specs), project="acme")
    assert refs == [
        *(EndpointRef("acme", f"new-{n}") for n in range(9)),
        *map(EndpointRef, ["acme"] * 2, ["old", "there"]),
        EndpointRef("b", "else"),
    ]
    assert [ref.plan.action for ref in refs] == ["create"] * 9 + ["update", "none", "create"]
    assert plane.count("GET") == 2
    assert plane.count("POST") == 10
    assert (len(plane.slugs()), plane.slugs("b")) == (11, ["else"])
    again = call(way, plane, "ensure_all", specs)
    assert again == refs
    assert {ref.plan.action for ref in again} == {"none"}
    assert call(way, plane, "ensure_all", []) == []


@WAYS
@pytest.mark.parametrize("limit", [1, 3])
def test_max_concurrency_limits_the_open_requests(way: str, plane: Plane, limit: int) -> None:
    call(way, plane, "ensure_all", [spec(f"new-{n}") for n in range(12)], max_concurrency=limit)
    assert len(plane.slugs()) == 12
    assert plane.most <= limit
    assert (plane.most > 1) == (limit > 1)


@WAYS
def test_a_failed_workload_stops_no_other_and_the_call_can_be_repeated(
    way: str, plane: Plane
) -> None:
    plane.refusals = {("POST", "search"): 422, ("POST", "billing"): 500}
    specs = [spec(slug) for slug in ("a", "search", "b", "billing", "c")]
    with pytest.raises(EnsureAllError) as caught:
        call(way, plane, "ensure_all", specs, max_concurrency=2)
    error = caught.value
    assert str(error) == "2 of 5 workloads failed: search, billing (3 were ensured)"
    assert error.results == (
        EndpointRef("acme", "a"),
        None,
        EndpointRef("acme", "b"),
        None,
        EndpointRef("acme", "c"),
    )
    members: Any = error.exceptions
    assert [(type(e), e.workload, e.__notes__) for e in members] == [
        (ValidationError, "search", ["workload 'search'"]),
        (ServerError, "billing", ["workload 'billing'"]),
    ]
    assert "no search here" in str(error.exceptions[0])
    assert plane.slugs() == ["a", "b", "c"]
    plane.refusals = {}
    refs = call(way, plane, "ensure_all", specs)
    assert [ref.plan.action for ref in refs] == ["none", "create", "none", "create", "none"]


@WAYS
def test_on_drift_fail_fails_only_the_drifted_workloads(way: str, plane: Plane) -> None:
    plane.add("a", name="other")
    plane.add("b")
    with pytest.raises(EnsureAllError) as caught:
        call(way, plane, "ensure_all", [spec("a"), spec("b"), spec("c")], on_drift="fail")
    (drift,) = caught.value.exceptions
    assert isinstance(drift, DriftError)
    assert str(drift) == "workload drifted from spec: name"
    assert drift.plan is not None
    assert (drift.plan.action, drift.workload) == ("update", "a")
    assert plane.slugs() == ["a", "b", "c"]
    assert plane.count("PATCH") == 0


@WAYS
def test_a_dry_run_of_all_sends_one_request(way: str, plane: Plane) -> None:
    plane.add("a", name="other")
    refs = call(way, plane, "ensure_all", [spec("a"), spec("b")], on_drift="dry_run")
    assert [ref.plan.action for ref in refs] == ["update", "create"]
    assert len(plane.requests) == 1
    assert refs[0].plan == call(way, plane, "plan", spec("a"))


@WAYS
@pytest.mark.parametrize(
    ("specs", "options", "error", "text"),
    [
        (
            [spec("a", name=""), spec("b", model="")],
            {},
            ValidationError,
            "2 problems in the specs",
        ),
        ([spec("A b"), spec("a-b")], {}, ValidationError, "the same workload as"),
        ([spec("a", project="b")], {"project": "acme"}, ConfigurationError, "remove one of them"),
        ([spec("a")], {"max_concurrency": 0}, ValidationError, "max_concurrency must be"),
        ([spec("a")], {"on_drift": "destroy"}, ValidationError, "on_drift must be one of"),
        (spec("a"), {}, ValidationError, "specs must be a list of WorkloadSpec"),
    ],
)
def test_wrong_specs_are_reported_before_any_request(
    way: str, plane: Plane, specs: Any, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        _call_with(way, plane, specs, options)
    assert not plane.requests


def _call_with(way: str, plane: Plane, specs: Any, options: dict[str, Any]) -> None:
    ours = {"base_url": plane.url, "project": "acme", "sdk_token": TOKEN}
    if way == "sync":
        with ManagementClient(**ours) as management:
            management.ensure_all(specs, **options)
        return

    async def awaited() -> None:
        async with AsyncManagementClient(**ours) as management:
            await management.ensure_all(specs, **options)

    asyncio.run(awaited())


@WAYS
def test_an_unlistable_project_fails_all_its_workloads(way: str, plane: Plane) -> None:
    plane.refusals = {("LIST", "acme"): 401, ("LIST", "b"): 403}
    with pytest.raises(AuthError):
        call(way, plane, "ensure_all", [spec("a"), spec("b")])
    assert plane.count("POST") == 0
    with pytest.raises(EnsureAllError) as caught:
        call(way, plane, "ensure_all", [spec("a"), spec("b"), spec("x", project="c")])
    assert str(caught.value) == "2 of 3 workloads failed: acme/a, acme/b (1 was ensured)"
    members: Any = caught.value.exceptions
    assert [e.workload for e in members] == ["acme/a", "acme/b"]
    assert [type(e) for e in members] == [AuthError] * 2
    assert plane.slugs("c") == ["x"]


@WAYS
@pytest.mark.parametrize("honours_keys", [True, False])
def test_lost_responses_leave_one_workload_for_each_spec(
    way: str, plane: Plane, honours_keys: bool
) -> None:
    plane.lose, plane.honours_keys = 2, honours_keys
    refs = call(way, plane, "ensure_all", [spec(slug) for slug in "abcd"])
    assert [ref.workload_slug for ref in refs] == ["a", "b", "c", "d"]
    assert plane.slugs() == ["a", "b", "c", "d"]


def _warned(caught: list[warnings.WarningMessage]) -> list[tuple[type[Warning], str, str]]:
    return [(w.category, str(w.message), w.filename) for w in caught]


@WAYS
def test_warnings_point_at_the_users_line_and_are_logged(
    way: str, plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    plane.add("a", name="other")
    plane.add("b", name="other", model_name="n")
    odd = spec("c", command="vllm serve m")
    ours = {"base_url": plane.url, "project": "acme", "sdk_token": TOKEN}
    expected = [
        (WorkloadDriftWarning, "workload 'a' drifted from spec: name", __file__),
        (WorkloadDriftWarning, "workload 'b' drifted from spec: name, model_name", __file__),
    ]
    with (
        caplog.at_level(logging.WARNING, "inferencekey"),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        if way == "sync":
            with ManagementClient(**ours) as management:
                management.ensure_all([odd, spec("a"), spec("b")], on_drift="warn")
                management.ensure(spec("a"), on_drift="warn")
                management.plan(odd)
                management.ensure(odd)
        else:

            async def awaited() -> None:
                async with AsyncManagementClient(**ours) as management:
                    await management.ensure_all([odd, spec("a"), spec("b")], on_drift="warn")
                    await management.ensure(spec("a"), on_drift="warn")
                    await management.plan(odd)
                    await management.ensure(odd)

            asyncio.run(awaited())
    issued = _warned(caught)
    assert issued[1:4] == [*expected, expected[0]]
    assert [one[::2] for one in (issued[0], *issued[4:])] == [(WorkloadSpecWarning, __file__)] * 3
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert lines == [text for _, text, _ in issued[1:4]]
    assert plane.count("PATCH") == 0


@WAYS
def test_a_warning_turned_into_an_error_belongs_to_its_workload(way: str, plane: Plane) -> None:
    plane.add("a", name="other")
    with warnings.catch_warnings():
        warnings.simplefilter("error", WorkloadDriftWarning)
        with pytest.raises(EnsureAllError) as caught:
            call(way, plane, "ensure_all", [spec("a"), spec("b")], on_drift="warn")
    assert [type(e) for e in caught.value.exceptions] == [WorkloadDriftWarning]
    assert caught.value.results == (None, EndpointRef("acme", "b"))


@pytest.mark.anyio
async def test_a_cancelled_call_leaves_no_open_request(plane: Plane) -> None:
    plane.stall = {"POST"}
    async with AsyncManagementClient(
        base_url=plane.url, project="acme", sdk_token=TOKEN
    ) as management:
        before = asyncio.all_tasks()
        task = asyncio.create_task(
            management.ensure_all([spec(f"w-{n}") for n in range(20)], max_concurrency=4)
        )
        await asyncio.to_thread(until, lambda: plane.count("POST") == 4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before
        await asyncio.to_thread(until, lambda: plane.ended["POST"] == 4)
    assert plane.count("POST") == 4


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interrupted_sync_call_ends_its_requests(plane: Plane) -> None:
    plane.stall = {"POST"}

    def interrupt() -> None:
        until(lambda: plane.count("POST") == 4)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with ManagementClient(base_url=plane.url, project="acme", sdk_token=TOKEN) as management:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            management.ensure_all([spec(f"w-{n}") for n in range(20)], max_concurrency=4)
        until(lambda: plane.ended["POST"] == 4)
        plane.stall = set()
        assert len(management.ensure_all([spec("a")])) == 1, "the client is sound"
    assert plane.slugs() == ["a"]


# apply


@WAYS
def test_a_plan_can_be_saved_and_applied_by_another_client(way: str, plane: Plane) -> None:
    plan = call(way, plane, "plan", spec("bot", command="ollama run m"))
    assert (plan.action, plan.state) == ("create", None)
    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    ref = call(way, plane, "apply", again, project="another")
    assert ref == EndpointRef("acme", "bot")
    assert ref.plan == Plan("create", plan.changes, "acme", "bot", "w-1")
    with pytest.raises(DriftError, match="'bot' exists now. Plan again.") as caught:
        call(way, plane, "apply", plan)
    assert caught.value.plan is not None
    assert caught.value.plan.action == "none"
    update = call(way, plane, "plan", spec("bot", description="d"))
    none = call(way, plane, "plan", spec("bot"))
    assert call(way, plane, "apply", none).plan == none
    assert call(way, plane, "apply", update).plan == update
    assert plane.rows["w-1"]["description"] == "d"
    for stale in (none, update):
        with pytest.raises(DriftError, match="was changed since: description. Plan again."):
            call(way, plane, "apply", stale)
    plane.rows.clear()
    with pytest.raises(DriftError, match="does not exist any more. Plan again."):
        call(way, plane, "apply", update)
    assert (plane.count("POST"), plane.count("PATCH")) == (1, 1)


@WAYS
def test_rejects_a_plan_that_cannot_be_applied_before_any_request(way: str, plane: Plane) -> None:
    for plan in (Plan("create", (), "acme", "bot"), "plan"):
        with pytest.raises(ValidationError, match="plan"):
            call(way, plane, "apply", plan)
    assert not plane.requests


@WAYS
def test_apply_leaves_the_workload_of_a_faster_caller_alone(way: str, plane: Plane) -> None:
    plan = call(way, plane, "plan", spec("bot"))

    def faster(request: Request) -> None:
        if request.method == "POST" and not plane.rows:
            plane.add("bot", name="theirs")

    plane.before = faster
    with pytest.raises(DriftError, match="'bot' exists now") as caught:
        call(way, plane, "apply", plan)
    assert caught.value.plan is not None
    assert [change.field for change in caught.value.plan.changes] == ["name"]
    assert [row["name"] for row in plane.rows.values()] == ["theirs"]
    assert plane.count("DELETE") == 1


@WAYS
@pytest.mark.parametrize("honours_keys", [True, False])
def test_apply_recognises_its_own_change_after_a_lost_response(
    way: str, plane: Plane, honours_keys: bool
) -> None:
    plane.honours_keys = honours_keys
    create = call(way, plane, "plan", spec("bot"))
    plane.lose = 1
    assert call(way, plane, "apply", create).plan.action == "create"
    assert plane.slugs() == ["bot"]
    update = call(way, plane, "plan", spec("bot", description="d"))
    plane.lose = 4  # a PATCH is sent three times, and once more after a read
    assert call(way, plane, "apply", update).plan == update
    assert plane.rows[next(iter(plane.rows))]["description"] == "d"


def test_one_sync_client_serves_threads_that_ensure_many(plane: Plane) -> None:
    done: list[list[EndpointRef]] = []
    with ManagementClient(base_url=plane.url, project="acme", sdk_token=TOKEN) as management:
        specs = [spec(f"w-{n}") for n in range(6)]
        threads = [
            threading.Thread(target=lambda: done.append(management.ensure_all(specs)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert done == [[EndpointRef("acme", f"w-{n}") for n in range(6)]] * 4
    assert plane.slugs() == [f"w-{n}" for n in range(6)]


@WAYS
def test_an_unknown_outcome_of_a_create_is_reported(way: str, plane: Plane) -> None:
    def then_away(request: Request) -> None:
        if request.method == "POST":
            plane.refusals["LIST", "acme"] = 401  # the read after the lost response fails, too

    plane.before, plane.lose = then_away, 1
    with pytest.raises(AuthError) as caught:
        call(way, plane, "ensure", spec("a"))
    assert caught.value.outcome_unknown
    assert plane.slugs() == ["a"]
    with pytest.raises(AuthError) as caught:
        call(way, plane, "ensure", spec("b"))
    assert not caught.value.outcome_unknown


@WAYS
def test_the_applied_plan_has_the_digest_of_the_reviewed_plan(way: str, plane: Plane) -> None:
    plan = call(way, plane, "plan", spec("a"))
    ref = call(way, plane, "apply", plan)
    assert ref.plan.workload_id
    assert ref.plan.digest == plan.digest


@WAYS
def test_rejects_none_instead_of_a_list(way: str, plane: Plane) -> None:
    for name in ("ensure_all", "wait_all"):
        with pytest.raises(ValidationError, match="must be a list of"):
            call(way, plane, name, None)
    assert not plane.requests
