"""The control plane's JSON and the models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from inferencekey._core.control import wire
from inferencekey.errors import ResponseFormatError
from inferencekey.models import Backend, EngineLog, ExecutionPolicy, Phase, ReadinessEvent, TaskType

SMALL: dict[str, Any] = {"id": "w-1", "slug": "support-bot"}


def test_the_smallest_workload() -> None:
    found = wire.workload(SMALL)
    assert (found.id, found.slug, found.name, found.model_name, found.backend) == (
        "w-1",
        "support-bot",
        "",
        "",
        "",
    )
    assert found.task_type is TaskType.TEXT2TEXT
    assert found.config is None
    assert found.raw is SMALL


def test_nulls_count_as_absent() -> None:
    names = (
        "name",
        "project_id",
        "task_type",
        "backend",
        "model_name",
        "config",
        "execution_policy",
        "created_at",
    )
    assert wire.workload({**SMALL, **dict.fromkeys(names)}) == wire.workload(SMALL)


@pytest.mark.parametrize(
    ("field", "sent", "value"),
    [
        ("backend", "vllm", Backend.VLLM),
        ("backend", "vllm-omni", Backend.VLLM_OMNI),
        ("backend", "stablediffusioncpp", Backend.STABLE_DIFFUSION_CPP),
        ("backend", "my-own", "my-own"),
        ("task_type", "reranker", TaskType.RERANKER),
        ("task_type", "text2smell", "text2smell"),
        ("execution_policy", "scheduled", ExecutionPolicy.SCHEDULED),
        ("execution_policy", "lunar", "lunar"),
        (
            "config",
            {"command": "a", "deep": {"b": [1, None]}},
            {"command": "a", "deep": {"b": [1, None]}},
        ),
        ("config", {}, {}),
        ("description", "", ""),
        ("created_at", "2026-11-21T20:00:00Z", datetime(2026, 11, 21, 20, tzinfo=UTC)),
        ("created_at", "2026-11-21t20:00:00z", datetime(2026, 11, 21, 20, tzinfo=UTC)),
        (
            "created_at",
            "2026-11-21T20:00:00.123456789Z",
            datetime(2026, 11, 21, 20, 0, 0, 123456, tzinfo=UTC),
        ),
        (
            "updated_at",
            "2026-11-21T21:00:00.5+01:00",
            datetime(2026, 11, 21, 20, 0, 0, 500000, tzinfo=UTC),
        ),
        ("created_at", "0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_fields(field: str, sent: object, value: object) -> None:
    found = getattr(wire.workload({**SMALL, field: sent}), field)
    assert found == value
    assert type(found) is type(value)


def test_unknown_fields_are_kept_out_of_the_way() -> None:
    sent = {**SMALL, "raw": "a field of that name", "replicas_ready": 2, "project_slug": "acme"}
    found = wire.workload(sent)
    assert found == wire.workload(SMALL)
    assert found.raw == sent


def test_a_slug_may_have_the_name_workload_slug() -> None:
    assert wire.workload({"id": "w-1", "workload_slug": "bot"}).slug == "bot"
    assert wire.workload({"id": "w-1", "workload_slug": "other", "slug": "bot"}).slug == "bot"


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (None, "a workload is not a JSON object"),
        ([], "a workload is not a JSON object"),
        ("w-1", "a workload is not a JSON object"),
        ({}, "a workload: id: required field missing; slug: required field missing"),
        ({"id": "w-1", "workload_slug": 5}, "a workload: slug: required field missing"),
        ({"slug": "a"}, "a workload: id: required field missing"),
        ({**SMALL, "id": 5}, "a workload: id: must be a string, not int"),
        ({**SMALL, "name": ["a"]}, "a workload: name: must be a string, not list"),
        ({**SMALL, "backend": 5}, "a workload: backend: must be a string, not int"),
        (
            {**SMALL, "execution_policy": {}},
            "a workload: execution_policy: must be a string, not dict",
        ),
        ({**SMALL, "config": "vllm serve"}, "a workload: config: must be an object, not str"),
        ({**SMALL, "config": []}, "a workload: config: must be an object, not list"),
        ({**SMALL, "created_at": 1795290019}, "a workload: created_at: must be a string, not int"),
        (
            {**SMALL, "created_at": "yesterday"},
            "a workload: created_at: must be a date and time, not 'yesterday'",
        ),
    ],
)
def test_rejects_a_wrong_workload_and_names_the_field(sent: Any, text: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        wire.workload(sent)
    assert str(caught.value).startswith(f"unexpected response: {text}")


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (None, []),
        ([], []),
        ([SMALL], [SMALL]),
        ({"workloads": None}, []),
        ({"workloads": [SMALL], "next": None}, [SMALL]),
    ],
)
def test_the_forms_of_a_list(sent: Any, found: list[Any]) -> None:
    assert wire.workload_list(sent) == found


@pytest.mark.parametrize("sent", [{}, "text", 5, {"workloads": {}}, {"items": []}])
def test_rejects_a_response_that_is_not_a_list(sent: Any) -> None:
    with pytest.raises(ResponseFormatError, match=r"neither an array nor \{'workloads': \[…\]\}"):
        wire.workload_list(sent)


def test_finding_one_structures_only_that_one() -> None:
    raws = [
        {"id": 5, "slug": "broken"},
        {"id": "w-2", "workload_slug": "bot"},
        {"id": "w-3", "slug": "bot-1"},
    ]
    found = wire.find_workload(raws, "bot")
    assert found is not None
    assert found.id == "w-2"
    assert wire.find_workload(raws, "absent") is None
    assert wire.find_workload([], "bot") is None


@pytest.mark.parametrize("raw", [None, "bot", ["bot"]])
def test_rejects_a_list_whose_items_are_not_workloads(raw: Any) -> None:
    message = "the platform's list of workloads has an item that is not a JSON object"
    for find in (lambda: wire.find_workload([raw], "bot"), lambda: wire.workloads_by_slug([raw])):
        with pytest.raises(ResponseFormatError, match=message):
            find()


def test_finds_many_workloads_in_one_list() -> None:
    first, named = {"id": "w-1", "slug": "bot"}, {"id": "w-2", "workload_slug": "other"}
    twin, blank = {"id": "w-3", "slug": "bot"}, {"id": "w-4", "slug": "", "workload_slug": "blank"}
    strange: list[Any] = [{"id": "w-5"}, {"slug": ["a"]}, {"slug": None}]
    found = wire.workloads_by_slug([first, named, twin, blank, *strange])
    assert found == {"bot": first, "other": named, "blank": blank}
    assert wire.find_workload([first, blank], "blank") is not None
    assert list(wire.slugs_of([first, named, twin, blank, *strange, "no workload"])) == [
        "bot",
        "other",
        "bot",
        "blank",
    ]


@pytest.mark.parametrize(
    ("sent", "log"),
    [
        ({"lines": [], "next": 0, "engine": None}, EngineLog((), 0)),
        (
            {"lines": ["a", ""], "next": 12, "engine": "vllm", "new": 1},
            EngineLog(("a", ""), 12, "vllm"),
        ),
        ({"lines": ["a"], "next": 12.0, "engine": 5}, EngineLog(("a",), 12)),
    ],
)
def test_an_engines_log(sent: dict[str, Any], log: EngineLog) -> None:
    assert wire.engine_log(sent) == log


@pytest.mark.parametrize(
    "sent", [None, [], {}, {"lines": "a", "next": 1}, {"lines": [5], "next": 1}]
)
def test_a_log_without_lines(sent: Any) -> None:
    with pytest.raises(
        ResponseFormatError, match="an engine's log: lines must be a list of strings"
    ):
        wire.engine_log(sent)


@pytest.mark.parametrize("position", [None, "5", True, 1.5])
def test_a_log_without_a_position(position: Any) -> None:
    with pytest.raises(ResponseFormatError, match="an engine's log: next must be an integer"):
        wire.engine_log({"lines": [], "next": position})


@pytest.mark.parametrize(
    ("sent", "event"),
    [
        (
            {"phase": "scheduling", "message": "m", "elapsed_ms": 5},
            ReadinessEvent(Phase.SCHEDULING, "m", 5),
        ),
        ({"phase": "ready", "step": "warm-up"}, ReadinessEvent(Phase.READY, step="warm-up")),
        ({"phase": "error", "step": 2, "message": None}, ReadinessEvent(Phase.ERROR, step="2")),
        ({"phase": "thinking", "elapsed_ms": 5.0}, ReadinessEvent("thinking", elapsed_ms=5)),
        ({"phase": "ready", "elapsed_ms": "5", "new": 1}, ReadinessEvent(Phase.READY)),
    ],
)
def test_readiness_events(sent: dict[str, Any], event: ReadinessEvent) -> None:
    assert wire.readiness_event(orjson.dumps(sent)) == event


@pytest.mark.parametrize(
    "sent", [b"{}", b"[]", b"null", b'{"phase": ""}', b'{"phase": 5}', b'"ready"']
)
def test_rejects_a_readiness_event_without_a_phase(sent: bytes) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        wire.readiness_event(sent)
    assert (
        str(caught.value)
        == f"unexpected response: a readiness event has no phase: {sent.decode()!r}"
    )


def test_rejects_a_readiness_event_that_is_not_json() -> None:
    with pytest.raises(ResponseFormatError, match="a readiness event is not JSON"):
        wire.readiness_event(b"ready")
