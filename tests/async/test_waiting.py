"""``wait_until_ready``, ``wait_all`` and ``logs``, async and sync, against a real HTTP server."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from faults.calls import TOKEN
from faults.plane import Plane, call, ready

from inferencekey import (
    ApiError,
    AsyncManagementClient,
    EngineLog,
    NotFoundError,
    ReadinessError,
    ReadinessEvent,
    ReadinessTimeout,
    ResponseFormatError,
    ValidationError,
    WaitAllError,
)
from inferencekey._async import control_api as control

WAYS = pytest.mark.parametrize("way", ["async", "sync"])

BROKEN = [
    {"phase": "bootstrapping", "message": "loading"},
    {"phase": "error", "message": "no memory"},
]


@pytest.fixture
def plane() -> Iterator[Plane]:
    with Plane() as server:
        server.readiness = {
            "a": ready("scheduling", "bootstrapping"),
            "b": ready(),
            "broken": BROKEN,
            "slow": BROKEN[:1],
        }
        yield server


# wait_until_ready


@WAYS
def test_a_readiness_error_has_the_events_and_the_end_of_the_log(way: str, plane: Plane) -> None:
    plane.logs = {"broken": [f"line {n}" for n in range(50)]}
    with pytest.raises(ReadinessError) as caught:
        call(way, plane, "wait_until_ready", "Broken", silent=True)
    error = caught.value
    assert [event.phase for event in error.events] == ["bootstrapping", "error"]
    assert error.log == tuple(f"line {n}" for n in range(30, 50))
    assert str(error).startswith(
        "api error: workload 'broken' failed to become ready: no memory\n"
        "The end of its engine's log:\n  | line 30\n"
    )
    assert str(error).endswith("\n  | line 49")
    assert error.workload == "broken"
    assert pickle.loads(pickle.dumps(error)).log == error.log
    assert plane.count("GET", "/logs") == 1


@WAYS
def test_a_log_shows_no_credential(way: str, plane: Plane) -> None:
    other = "ik_live_0a1b2c3d_" + "f" * 64
    plane.logs = {"broken": [f"started with --key {other}", f"and {TOKEN}"]}
    with pytest.raises(ReadinessError) as caught:
        call(way, plane, "wait_until_ready", "broken", silent=True)
    shown = f"{caught.value} {caught.value.log}"
    assert "started with --key ik_live_0a1b2c3d…" in shown
    assert other not in shown
    assert TOKEN not in shown
    log = call(way, plane, "logs", "broken")
    assert log.lines == caught.value.log


@WAYS
@pytest.mark.parametrize("status", [404, 405, 501, 500, 403])
def test_a_platform_without_logs_gives_the_error_without_lines(
    way: str, plane: Plane, status: int
) -> None:
    plane.logs = {"broken": status}
    with pytest.raises(ReadinessError) as caught:
        call(way, plane, "wait_until_ready", "broken", silent=True)
    assert str(caught.value) == "api error: workload 'broken' failed to become ready: no memory"
    assert caught.value.log == ()


@WAYS
def test_a_late_log_does_not_delay_the_error_for_long(
    way: str, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LAST_LINES_WAIT", 0.2)
    plane.logs = {"broken": 0}
    with pytest.raises(ReadinessError) as caught:
        call(way, plane, "wait_until_ready", "broken", silent=True)
    assert caught.value.log == ()


@WAYS
def test_the_timeout_includes_the_request_for_the_log(way: str, plane: Plane) -> None:
    plane.logs = {"broken": 0}
    began = time.monotonic()
    with pytest.raises(ReadinessError):
        call(way, plane, "wait_until_ready", "broken", silent=True, timeout=0.5)
    assert time.monotonic() - began < 4


@WAYS
def test_a_readiness_timeout_has_the_end_of_the_log(way: str, plane: Plane) -> None:
    plane.logs = {"slow": ["loading layer 7"]}
    with pytest.raises(ReadinessTimeout) as caught:
        call(way, plane, "wait_until_ready", "slow", silent=True, timeout=0.8)
    assert str(caught.value) == (
        "api error: workload 'slow' was not ready within 0.8 s (it is bootstrapping: loading)\n"
        "The end of its engine's log:\n  | loading layer 7"
    )
    assert caught.value.log == ("loading layer 7",)
    assert [event.phase for event in caught.value.events] == ["bootstrapping"]


@WAYS
def test_a_ready_workload_requests_no_log(
    way: str, plane: Plane, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(way, plane, "wait_until_ready", "a").phase == "ready"
    assert plane.count("GET", "/logs") == 0
    lines = [line.rpartition(" (")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "a: scheduling it is scheduling",
        "a: bootstrapping it is bootstrapping",
        "a: ready it is ready",
    ]


# wait_all


@WAYS
def test_wait_all_returns_the_last_events_in_order(
    way: str, plane: Plane, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, str, str]] = []

    def note(slug: str, event: ReadinessEvent) -> None:
        seen.append((slug, str(event.phase), threading.current_thread().name))

    last = call(way, plane, "wait_all", ["B", "a", "b"], on_progress=note)
    assert [(event.phase, event.message) for event in last] == [("ready", "it is ready")] * 3
    assert [(slug, phase) for slug, phase, _ in seen if slug == "a"] == [
        ("a", "scheduling"),
        ("a", "bootstrapping"),
        ("a", "ready"),
    ]
    assert {name for _, _, name in seen} == {threading.current_thread().name}
    assert plane.count("GET", "/readiness-events") == 2
    assert capsys.readouterr() == ("", "")
    call(way, plane, "wait_all", iter(["a", "b"]))
    lines = [line.rpartition(" (")[0] for line in capsys.readouterr().err.splitlines()]
    assert sorted(lines) == [
        "a: bootstrapping it is bootstrapping",
        "a: ready it is ready",
        "a: scheduling it is scheduling",
        "b: ready it is ready",
    ]
    assert call(way, plane, "wait_all", []) == []


@WAYS
def test_wait_all_reports_each_failure_and_waits_for_the_others(
    way: str, plane: Plane, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.logs = {"broken": ["out of memory"], "slow": ["loading layer 7"]}
    began = time.monotonic()
    with pytest.raises(WaitAllError) as caught:
        call(way, plane, "wait_all", ["slow", "a", "broken", "nope", "b"], timeout=1)
    assert time.monotonic() - began < 5
    error = caught.value
    assert str(error) == "3 of 5 workloads are not ready: slow, broken, nope (2 are ready)"
    assert [event and event.phase for event in error.results] == [
        None,
        "ready",
        None,
        None,
        "ready",
    ]
    slow, broken, nope = error.exceptions
    assert isinstance(slow, ReadinessTimeout)
    assert isinstance(broken, ReadinessError)
    assert isinstance(nope, NotFoundError)
    assert [slow.workload, broken.workload, nope.workload] == ["slow", "broken", "nope"]
    assert (slow.log, broken.log) == (("loading layer 7",), ("out of memory",))
    assert "1 s" in str(slow)
    shown = capsys.readouterr().err
    assert "broken: error no memory (" in shown
    assert "nope: not found: no workload nope" in shown
    twin = pickle.loads(pickle.dumps(error))
    assert [str(e) for e in twin.exceptions] == [str(e) for e in error.exceptions]


@WAYS
def test_an_exception_of_a_callback_ends_the_wait(way: str, plane: Plane) -> None:
    with pytest.raises(ZeroDivisionError):
        call(way, plane, "wait_all", ["a", "slow"], on_progress=lambda slug, event: 1 / 0)


def test_a_callback_may_be_a_coroutine_function_and_runs_once_at_a_time(
    plane: Plane,
) -> None:
    running = 0
    seen: list[str] = []

    async def note(slug: str, event: ReadinessEvent) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.01)
        seen.append(f"{slug} {event.phase}")
        running -= 1

    call("async", plane, "wait_all", ["a", "b"], on_progress=note)
    assert sorted(seen) == ["a bootstrapping", "a ready", "a scheduling", "b ready"]


@WAYS
@pytest.mark.parametrize(
    ("slugs", "options", "text"),
    [
        ("abc", {}, "slugs must be a list of strings"),
        (["a", "--"], {}, "slug must contain a letter"),
        (["a"], {"timeout": 0}, "timeout must be a number of seconds above 0"),
        (["a"], {"project": "../b"}, "project must be a slug"),
    ],
)
def test_wrong_arguments(
    way: str, plane: Plane, slugs: Any, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValidationError, match=text):
        call(way, plane, "wait_all", slugs, **options)
    assert not plane.requests


@pytest.mark.anyio
async def test_a_cancelled_wait_leaves_no_open_request(plane: Plane) -> None:
    plane.readiness = {f"s{n}": BROKEN[:1] for n in range(10)}
    async with AsyncManagementClient(
        base_url=plane.url, project="acme", sdk_token=TOKEN
    ) as management:
        before = asyncio.all_tasks()
        seen = 0
        all_there = asyncio.Event()

        def note(slug: str, event: ReadinessEvent) -> None:
            nonlocal seen
            seen += 1
            if seen == 10:
                all_there.set()

        task = asyncio.create_task(management.wait_all(plane.readiness, on_progress=note))
        await all_there.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before

        def gone() -> None:
            deadline = time.monotonic() + 20
            while plane.ended["events"] < 10:
                assert time.monotonic() < deadline
                time.sleep(0.005)

        await asyncio.to_thread(gone)


# logs


@WAYS
def test_logs_can_continue_after_an_earlier_log(way: str, plane: Plane) -> None:
    plane.logs = {"bot": ["one", "two", "three"]}
    assert call(way, plane, "logs", "Bot") == EngineLog(("one", "two", "three"), 3, "llama-server")
    assert call(way, plane, "logs", "bot", lines=1).lines == ("three",)
    assert call(way, plane, "logs", "bot", after=2).lines == ("three",)
    assert [r.path.partition("?")[2] for r in plane.requests] == [
        "lines=100",
        "lines=1",
        "lines=100&after=2",
    ]


@WAYS
@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_missing_log_names_the_platform_or_the_workload(
    way: str, plane: Plane, status: int
) -> None:
    plane.logs = {"bot": status}
    with pytest.raises(NotFoundError, match=r"^not found: project 'acme' has no workload 'bot'$"):
        call(way, plane, "logs", "bot")
    plane.add("bot")
    with pytest.raises(
        NotFoundError, match=r"^not found: http://127.0.0.1:\d+ has no log of workload 'bot'"
    ) as caught:
        call(way, plane, "logs", "bot")
    assert caught.value.status == status


@WAYS
def test_a_refused_or_malformed_log_raises(way: str, plane: Plane) -> None:
    plane.logs = {"bot": 500, "strange": [5]}  # type: ignore[dict-item, list-item]
    with pytest.raises(ApiError, match="status 500"):
        call(way, plane, "logs", "bot")
    with pytest.raises(ResponseFormatError, match="lines must be a list of strings") as caught:
        call(way, plane, "logs", "strange")
    assert caught.value.status == 200
    for options in ({"lines": 0}, {"after": -1}):
        with pytest.raises(ValidationError):
            call(way, plane, "logs", "bot", **options)
