"""The control plane's JSON, written by hand: the client sends and reads exactly these bodies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from inferencekey._core.control import wire
from inferencekey._core.control.plans import create_body, make_plan, patch_body
from inferencekey._core.data.sse import SSEDecoder
from inferencekey._core.json import dumps
from inferencekey.models import (
    Backend,
    EngineLog,
    ExecutionPolicy,
    Phase,
    Plan,
    ReadinessEvent,
    TaskType,
    Workload,
    WorkloadSpec,
)

HERE = Path(__file__).parent


def golden(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text("utf-8"))


SMALLEST = WorkloadSpec(
    name="Support Bot", slug="Support Bot", model="llama3.2", backend=Backend.OLLAMA
)
EVERYTHING = WorkloadSpec(
    name="support-bot",
    slug="support-bot",
    model="meta-llama/Llama-3.1-8B-Instruct",
    backend=Backend.VLLM,
    task_type=TaskType.TEXT2TEXT,
    description="answers customers",
    command="vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 8192",
    vllm_version="0.11.0",
    config={"gpu_memory_utilization": 0.9},
    worker_id="worker-7",
    gpu_resource_id="gpu-3",
    execution_policy=ExecutionPolicy.AUTOSCALING,
    execution_policy_config={
        "min_workers": 0,
        "max_workers": 2,
        "max_hourly_cost_usd": 1.5,
        "workers": {
            "source": "cloud",
            "cloud_pool": {
                "gpu_pool": ("RTX4090",),
                "max_hourly_cost_usd": 1.5,
                "max_instances": 2,
            },
        },
    },
    project="acme",
)


@pytest.mark.parametrize(
    ("spec", "name"), [(SMALLEST, "create_body_smallest"), (EVERYTHING, "create_body")]
)
def test_the_body_of_a_create(spec: WorkloadSpec, name: str) -> None:
    sent = json.loads(dumps(create_body(spec)))
    assert sent == golden(name)
    assert list(sent) == list(golden(name))


def test_a_workload_of_a_response() -> None:
    body = golden("workload")
    assert wire.workload(body) == Workload(
        id="5f0c8a52-9a6e-4c1f-8c58-0d3f3f1f2a10",
        project_id="9b2f6d1e-3c55-4f0e-a1b5-7a4f6f0d1c22",
        name="support-bot",
        slug="support-bot",
        task_type=TaskType.TEXT2TEXT,
        backend=Backend.VLLM,
        model_name="meta-llama/Llama-3.1-8B-Instruct",
        config={
            "command": "vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 4096",
            "port": 8000,
        },
        execution_policy=ExecutionPolicy.FIXED,
        execution_policy_config={"replicas": 1},
        created_at=datetime(2026, 11, 21, 20, tzinfo=UTC),
        updated_at=datetime(2026, 11, 21, 20, 0, 1, 500000, tzinfo=UTC),
    )
    assert wire.workload(body).raw == body


def test_the_body_of_an_update_and_its_plan() -> None:
    spec = WorkloadSpec(
        name="Support Bot",
        slug="support-bot",
        model="meta-llama/Llama-3.1-8B-Instruct",
        backend="vllm",
        task_type="reranker",
        command="vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 8192",
        execution_policy="scheduled",
        execution_policy_config={"window": "Mon-Fri 08:00-20:00 Europe/Madrid"},
    )
    plan = make_plan(spec, wire.workload(golden("workload")), project="acme")
    assert json.loads(dumps(patch_body(plan))) == golden("patch_body")
    assert list(patch_body(plan)) == list(golden("patch_body"))
    assert json.loads(orjson.dumps(plan.to_dict())) == golden("plan")
    assert Plan.from_dict(golden("plan")) == plan


@pytest.mark.parametrize(
    ("name", "slugs"), [("list_bare", 2), ("list_wrapped", 2), ("list_null", 0)]
)
def test_every_form_of_a_list(name: str, slugs: int) -> None:
    raws = wire.workload_list(golden(name))
    assert [wire.workload(raw).slug for raw in raws] == ["billing", "support-bot"][:slugs]
    found = wire.find_workload(raws, "support-bot")
    assert (found and found.id) == ("w-2" if slugs else None)


def test_readiness_events() -> None:
    events = SSEDecoder().feed((HERE / "readiness_events.sse").read_bytes())
    assert [wire.readiness_event(event.data) for event in events] == [
        ReadinessEvent(Phase.SCHEDULING, "Waiting for a worker", 12),
        ReadinessEvent(Phase.PROVISIONING, "Renting a GPU", 1800, "1/2"),
        ReadinessEvent(Phase.BOOTSTRAPPING, "Loading the model", 42000),
        ReadinessEvent(Phase.READY, "Ready", 61000),
    ]


def test_the_log_of_an_engine_in_a_response() -> None:
    lines = (
        "main: server is listening on 127.0.0.1:40123",
        "srv  update_slots: all slots are idle",
    )
    assert wire.engine_log(golden("engine_log")) == EngineLog(lines, 12345, "llama-server")
