"""The control plane over real sockets."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from platforms import Running, running, workload_body

pytestmark = pytest.mark.anyio

WORKLOADS = "/api/projects/acme/workloads"


@pytest.fixture
async def local(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Running]:
    async with running(tmp_path / "data") as started:
        yield started


async def test_a_created_workload_has_every_field_of_the_contract(local: Running) -> None:
    declared = workload_body(
        "Support Bot",
        description="d",
        config={"command": "vllm serve x --max-model-len 8192", "vllm_version": "0.9"},
        worker_id="w",
        gpu_resource_id="g",
        execution_policy="fixed",
        execution_policy_config={"replicas": 2},
    )
    response = await local.call("POST", WORKLOADS, json=declared)
    assert response.status == 201
    assert response.headers["Content-Type"] == "application/json"
    made = response.body
    assert {name: made[name] for name in declared} == {**declared, "slug": "support-bot"}
    assert uuid.UUID(made["id"])
    assert uuid.UUID(made["project_id"])
    assert (made["project_slug"], made["workload_slug"]) == ("acme", "support-bot")
    for moment in (made["created_at"], made["updated_at"]):
        assert datetime.fromisoformat(moment).tzinfo is not None
    listed = await local.call("GET", WORKLOADS)
    assert listed.body == [made]


async def test_fields_that_were_not_sent_are_null(local: Running) -> None:
    made = await local.create()
    optional = (
        "description",
        "config",
        "worker_id",
        "gpu_resource_id",
        "execution_policy",
        "execution_policy_config",
    )
    assert {made[name] for name in optional} == {None}


async def test_a_project_without_workloads_is_an_empty_list(local: Running) -> None:
    assert (await local.call("GET", WORKLOADS)).body == []


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Gemma 4 26B (llama.cpp / GGUF) on R9700", "gemma-4-26b-llama-cpp-gguf-on-r9700"),
        ("  Mixed_Case--Slug  ", "mixed-case-slug"),
    ],
)
async def test_slugs_are_stored_in_canonical_form(local: Running, given: str, stored: str) -> None:
    assert (await local.create(given))["slug"] == stored
    assert (await local.create(given))["slug"] == f"{stored}-1"
    assert (await local.create(stored))["slug"] == f"{stored}-2"


async def test_concurrent_creates_get_different_slugs(local: Running) -> None:
    made = await asyncio.gather(*(local.create() for _ in range(8)))
    assert {workload["slug"] for workload in made} == {
        "support-bot",
        *(f"support-bot-{n}" for n in range(1, 8)),
    }


async def test_concurrent_creates_with_one_idempotency_key_create_one_workload(
    local: Running,
) -> None:
    async def create() -> Any:
        return await local.call(
            "POST", WORKLOADS, json=workload_body(), headers={"Idempotency-Key": "k1"}
        )

    responses = await asyncio.gather(*(create() for _ in range(8)))
    assert {response.status for response in responses} == {201}
    assert len({response.body["id"] for response in responses}) == 1
    assert len((await local.call("GET", WORKLOADS)).body) == 1


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_refuses_an_idempotency_key_that_is_empty_or_too_long(
    local: Running, key: str
) -> None:
    response = await local.call(
        "POST", WORKLOADS, json=workload_body(), headers={"Idempotency-Key": key}
    )
    assert response.status == 400
    assert "Idempotency-Key" in response.body["error"]


async def test_an_idempotency_key_with_another_body_gets_409(local: Running) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await local.call("POST", WORKLOADS, json=workload_body(), headers=headers)
    other = await local.call(
        "POST", WORKLOADS, json=workload_body(model_name="another"), headers=headers
    )
    assert (first.status, other.status) == (201, 409)
    assert "Idempotency-Key" in other.body["error"]
    await local.call("DELETE", f"/api/workloads/{first.body['id']}")
    late = await local.call("POST", WORKLOADS, json=workload_body(), headers=headers)
    assert late.status == 409
    assert (await local.call("GET", WORKLOADS)).body == []


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name must be a string"),
    ({"name": "  "}, "name must not be empty"),
    ({"slug": "---"}, "a letter (a to z) or a digit; got '---'"),
    ({"slug": ""}, "slug must not be empty"),
    ({"slug": 5}, "slug must be a string"),
    ({"model_name": ""}, "model_name must not be empty"),
    ({"backend": " "}, "backend must not be empty"),
    ({"backend": "My Backend"}, "backend must be a slug"),
    ({"task_type": "text2nothing"}, "task_type must be one of text2text, embedding"),
    ({"task_type": None}, "task_type must be a string"),
    ({"description": 5}, "description must be a string"),
    ({"worker_id": []}, "worker_id must be a string"),
    ({"config": "vllm serve"}, "config must be an object"),
    ({"config": {"command": 5}}, "config.command must be a string"),
    (
        {"config": {"command": "vllm 'serve"}},
        "config.command cannot be split into words as a shell does: No closing quotation",
    ),
    ({"config": {"command": "  "}}, "config.command must not be empty"),
    ({"config": {"command": "a\0b"}}, "NUL"),
    ({"config": {"vllm_version": 1}}, "config.vllm_version must be a string"),
    ({"provider": "aws"}, "provider is not a field of a workload"),
    ({"min_vram_gb": 8}, "min_vram_gb is not a field of a workload"),
    ({"id": "x"}, "id is not a field of a workload"),
    ({"name": "ik_live_01234567_abc"}, "secrets must never go in specs"),
    ({"description": " ik_sdk_x"}, "secrets must never go in specs"),
    ({"config": {"command": "vllm serve x --api-key ik_live_x"}}, "secrets must never go in specs"),
    ({"config": {"command": "vllm serve x --api-key=ik_live_x"}}, "secrets must never go in specs"),
    (
        {"config": {"command": "vllm serve x --api-key='ik_live_x'"}},
        "secrets must never go in specs",
    ),
    ({"config": {"env": [{"KEY": "ik_sdk_x"}]}}, "secrets must never go in specs"),
    (
        {"execution_policy": "sometimes"},
        "execution_policy must be one of fixed, scheduled, autoscaling",
    ),
    ({"execution_policy": "scheduled"}, "execution_policy_config is required"),
    (
        {"execution_policy_config": {"replicas": 1}},
        "execution_policy_config needs execution_policy",
    ),
    ({"execution_policy": "fixed", "execution_policy_config": {"replicas": 0}}, "replicas"),
]


@pytest.mark.parametrize(("fields", "message"), BAD_BODIES, ids=lambda value: str(value)[:60])
async def test_an_invalid_create_gets_400_with_the_name_of_the_field(
    local: Running, fields: dict[str, Any], message: str
) -> None:
    response = await local.call("POST", WORKLOADS, json={**workload_body(), **fields})
    assert (response.status, set(response.body)) == (400, {"error"})
    assert message in response.body["error"]
    assert not response.body["error"].startswith("validation error")
    assert (await local.call("GET", WORKLOADS)).body == []


@pytest.mark.parametrize("name", ["name", "slug", "task_type", "backend", "model_name"])
async def test_a_create_without_a_required_field_gets_400(local: Running, name: str) -> None:
    body = workload_body()
    del body[name]
    response = await local.call("POST", WORKLOADS, json=body)
    assert (response.status, response.body) == (400, {"error": f"{name} is required"})


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"name": "\\ud800"}', b"{" * 5000]
)
async def test_a_body_that_is_not_a_json_object_gets_400(local: Running, data: bytes) -> None:
    response = await local.call("POST", WORKLOADS, data=data)
    assert response.status == 400
    assert "JSON" in response.body["error"]


async def test_a_description_may_mention_tokens(local: Running) -> None:
    made = await local.create(description="give it an ik_live_ key, such as ik_live_x")
    assert made["description"].startswith("give it")


@pytest.mark.parametrize("backend", ["ollama", "vllm-omni", "stablediffusioncpp", "my-own-backend"])
async def test_accepts_any_slug_as_a_backend(local: Running, backend: str) -> None:
    assert (await local.create(backend=backend))["backend"] == backend


# Updates


async def test_an_update_changes_only_the_fields_that_were_sent(local: Running) -> None:
    made = await local.create(description="d", config={"command": "a", "kept": 1})
    path = f"/api/workloads/{made['id']}"
    response = await local.call("PATCH", path, json={"config": {"command": "b"}})
    assert response.status == 200
    assert response.body == {
        **made,
        "config": {"command": "b"},
        "updated_at": response.body["updated_at"],
    }
    assert response.body["updated_at"] > made["updated_at"]
    assert (await local.call("GET", WORKLOADS)).body == [response.body]
    cleared = await local.call("PATCH", path, json={"description": None})
    assert cleared.body["description"] is None
    assert (await local.call("PATCH", path, json={})).body == cleared.body


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task_type": "embedding"}, "task_type cannot be changed"),
        ({"slug": "other"}, "slug cannot be changed"),
        ({"id": "x"}, "id cannot be changed"),
        ({"created_at": "x"}, "created_at cannot be changed"),
        ({"colour": "red"}, "colour is not a field of a workload"),
        ({"name": ""}, "name must not be empty"),
        ({"name": None}, "name must be a string"),
        ({"backend": "No Slug"}, "backend must be a slug"),
        ({"config": []}, "config must be an object"),
        ({"config": {"command": '"'}}, "config.command cannot be split"),
        ({"model_name": "ik_live_x"}, "secrets"),
        ({"execution_policy": "scheduled"}, "execution_policy_config is required"),
        ({"execution_policy_config": {"replicas": "two"}}, "replicas"),
    ],
)
async def test_an_invalid_update_gets_400_and_changes_nothing(
    local: Running, changes: dict[str, Any], message: str
) -> None:
    made = await local.create(execution_policy="fixed", execution_policy_config={"replicas": 1})
    response = await local.call(
        "PATCH", f"/api/workloads/{made['id']}", json={"description": "x", **changes}
    )
    assert response.status == 400
    assert message in response.body["error"]
    assert (await local.call("GET", WORKLOADS)).body == [made]


async def test_a_change_of_the_policy_removes_its_old_config(local: Running) -> None:
    made = await local.create(
        execution_policy="scheduled", execution_policy_config={"cron": "0 2 * * *"}
    )
    path = f"/api/workloads/{made['id']}"
    kept = await local.call("PATCH", path, json={"execution_policy": "scheduled"})
    assert kept.body["execution_policy_config"] == {"cron": "0 2 * * *"}
    fixed = await local.call("PATCH", path, json={"execution_policy": "fixed"})
    assert (fixed.status, fixed.body["execution_policy_config"]) == (200, None)
    grown = await local.call("PATCH", path, json={"execution_policy_config": {"replicas": 3}})
    assert grown.body["execution_policy_config"] == {"replicas": 3}


async def test_a_deleted_workload_does_not_exist(local: Running) -> None:
    made = await local.create()
    path = f"/api/workloads/{made['id']}"
    response = await local.call("DELETE", path)
    assert (response.status, response.body) == (204, None)
    assert (await local.call("DELETE", path)).status == 404
    assert (await local.call("PATCH", path, json={"name": "x"})).status == 404
    assert (await local.call("GET", WORKLOADS)).body == []
    events = await local.call("GET", f"{WORKLOADS}/support-bot/readiness-events")
    assert events.status == 404


async def test_only_one_of_several_concurrent_deletes_succeeds(local: Running) -> None:
    made = await local.create()
    responses = await asyncio.gather(
        *(local.call("DELETE", f"/api/workloads/{made['id']}") for _ in range(5))
    )
    assert sorted(response.status for response in responses) == [204, 404, 404, 404, 404]


# Readiness


async def test_readiness_starts_with_the_current_phase_and_ends_with_a_final_one(
    local: Running,
) -> None:
    await local.create()
    events = await local.ready("support-bot")
    assert events[-1]["phase"] == "error"
    assert "no stand-in engine serves forecast" in events[-1]["message"]
    assert all({"phase", "message", "elapsed_ms"} <= set(event) for event in events)
    assert await local.ready("Support Bot") == events[-1:]


async def test_readiness_is_an_event_stream(local: Running) -> None:
    await local.create()
    headers = {"Authorization": f"Bearer {local.sdk}"}
    async with local.http.get(
        f"{WORKLOADS}/support-bot/readiness-events", headers=headers
    ) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["x-request-id"]
        text = await response.text()
    assert text.endswith("\n\n")
    assert json.loads(text.rstrip().splitlines()[-1].removeprefix("data: "))["phase"] == "error"


@pytest.mark.engine
async def test_readiness_shows_every_phase_and_the_model_that_answers(local: Running) -> None:
    path = f"{WORKLOADS}/support-bot/readiness-events"
    await local.create(task_type="embedding", model_name="big/model", backend="sglang")
    watchers = await asyncio.gather(*(local.call("GET", path) for _ in range(3)))
    for watcher in watchers:
        events = [
            json.loads(line[6:]) for line in watcher.body.splitlines() if line.startswith("data: ")
        ]
        order = ["scheduling", "provisioning", "bootstrapping", "ready"]
        phases = [event["phase"] for event in events]
        assert phases == sorted(phases, key=order.index)
        assert phases[-1] == "ready"
        assert (
            events[-1]["message"]
            == "sglang is not installed here: all-MiniLM-L6-v2 embeds as a stand-in for big/model"
        )
        elapsed = [event["elapsed_ms"] for event in events]
        assert elapsed == sorted(elapsed)


async def test_an_update_launches_a_failed_workload_again(local: Running) -> None:
    made = await local.create()
    await local.ready("support-bot")
    await local.call("PATCH", f"/api/workloads/{made['id']}", json={"model_name": "another/model"})
    assert (await local.ready("support-bot"))[-1]["phase"] == "error"


async def test_custom_backends_get_501(local: Running) -> None:
    path = "/api/tenants/t1/custom-backends"
    response = await local.call("POST", path, data={"name": "x"})
    assert (response.status, set(response.body)) == (501, {"error"})
    assert (await local.call("POST", path, token="")).status == 401


# Authorisation

READ_ONLY = ("workload:read",)


async def test_the_authorisation_matrix(local: Running) -> None:
    made = await local.create()
    tokens = {
        "none": "",
        "nonsense": "abc",
        "unknown": "ik_sdk_01234567_" + "0" * 64,
        "unknown live": "ik_live_01234567_" + "0" * 64,
        "live": local.live,
        "other": local.platform.mint_sdk_token("other"),
        "reader": local.platform.mint_sdk_token("acme", READ_ONLY),
        "assigner": local.platform.mint_sdk_token("acme", ("assignment:write",)),
        "writer": local.platform.mint_sdk_token("acme", ("workload:write",)),
    }
    reads = [("GET", WORKLOADS, None), ("GET", f"{WORKLOADS}/support-bot/readiness-events", None)]
    one = f"/api/workloads/{made['id']}"
    writes = [
        ("POST", WORKLOADS, workload_body()),
        ("PATCH", one, {"name": "x"}),
        ("DELETE", one, None),
    ]
    refused = {
        "none": (401, 401),
        "nonsense": (401, 401),
        "unknown": (401, 401),
        "unknown live": (401, 401),
        "live": ("wrong_credential_type", "wrong_credential_type"),
        "other": ("project_scope_mismatch", "project_scope_mismatch"),
        "reader": (200, "scope_insufficient"),
        "assigner": ("scope_insufficient", "scope_insufficient"),
        "writer": (200, 200),
    }
    for who, (reading, writing) in refused.items():
        for expected, calls in ((reading, reads), (writing, writes)):
            for method, path, body in calls:
                response = await local.call(method, path, token=tokens[who], json=body)
                if isinstance(expected, str):
                    assert (response.status, response.body["error"]) == (403, expected), (
                        who,
                        method,
                        path,
                    )
                    assert set(response.body) == {"error", "message"}
                elif expected == 401:
                    assert response.status == 401, (who, method, path)
                    assert set(response.body) == {"error"}
                    assert response.headers["WWW-Authenticate"] == "Bearer"
                else:
                    assert response.status in (200, 201, 204), (who, method, path)


PRIVATE = {"source": "private", "private_worker_ids": ["rack-1"]}
SCALED = {"min_workers": 0, "max_workers": 1, "workers": PRIVATE}
ASSIGNING: list[dict[str, Any]] = [
    {"worker_id": "rack-1"},
    {"gpu_resource_id": "gpu-0"},
    {"execution_policy": "autoscaling", "execution_policy_config": SCALED},
]


@pytest.mark.parametrize("fields", ASSIGNING, ids=lambda fields: next(iter(fields)))
async def test_an_assignment_needs_the_scope_assignment_write(
    local: Running, fields: dict[str, Any]
) -> None:
    writer = local.platform.mint_sdk_token("acme", ("workload:write",))
    refused = await local.call("POST", WORKLOADS, token=writer, json=workload_body(**fields))
    assert (refused.status, refused.body["error"]) == (403, "scope_insufficient")
    assert "assignment:write" in refused.body["message"]
    assert (
        next(iter(fields)) in refused.body["message"]
        or "private_worker_ids" in refused.body["message"]
    )
    assert (await local.call("GET", WORKLOADS)).body == []
    bare = await local.call("POST", WORKLOADS, token=writer, json=workload_body("bare"))
    path = f"/api/workloads/{bare.body['id']}"
    refused = await local.call("PATCH", path, token=writer, json={"name": "changed", **fields})
    assert (refused.status, refused.body["error"]) == (403, "scope_insufficient")
    assert (await local.call("GET", WORKLOADS)).body == [bare.body], "nothing of it was done"
    given = await local.call("PATCH", path, json=fields)
    assert given.status == 200
    assert (await local.call("PATCH", path, token=writer, json=fields)).status == 200, (
        "sent again, it is no change"
    )
    assert (await local.call("PATCH", path, token=writer, json={"name": "changed"})).status == 200
    freed = await local.call("PATCH", path, token=writer, json=dict.fromkeys(fields))
    assert freed.status == 200, "taken away, it is no assignment"


async def test_policies_without_private_workers_need_no_further_scope(local: Running) -> None:
    writer = local.platform.mint_sdk_token("acme", ("workload:write",))
    pool = {"gpu_pool": ["L4"], "max_hourly_cost_usd": 1.0, "max_instances": 1}
    cloud = {
        **SCALED,
        "max_hourly_cost_usd": 1.0,
        "workers": {"source": "cloud", "cloud_pool": pool},
    }
    body = workload_body(
        execution_policy="autoscaling", execution_policy_config=cloud, worker_id=None
    )
    assert (await local.call("POST", WORKLOADS, token=writer, json=body)).status == 201


async def test_a_token_is_valid_from_its_creation_to_its_revocation(local: Running) -> None:
    from inferencekey.local.store import Store

    with Store(local.platform.data_dir / "platform.db") as elsewhere:
        minted = elsewhere.mint_sdk_token("acme")
        assert (await local.call("GET", WORKLOADS, token=minted.text)).status == 200
        assert elsewhere.revoke_token(minted.id)
        assert (await local.call("GET", WORKLOADS, token=minted.text)).status == 401


async def test_an_unknown_id_gets_404_only_with_a_sufficient_token(
    local: Running,
) -> None:
    path = f"/api/workloads/{uuid.uuid4()}"
    assert (await local.call("DELETE", path)).status == 404
    assert (await local.call("DELETE", path, token="")).status == 401
    reader = local.platform.mint_sdk_token("acme", READ_ONLY)
    assert (await local.call("DELETE", path, token=reader)).body == {
        "error": "scope_insufficient",
        "message": "this token lacks the scope workload:write",
    }


async def test_a_change_is_finished_when_its_caller_disconnects(local: Running) -> None:
    """A workload either does not exist, or exists and is being launched."""
    for attempt in range(30):
        task = asyncio.create_task(local.call("POST", WORKLOADS, json=workload_body(f"w{attempt}")))
        await asyncio.sleep(attempt * 0.0003)
        task.cancel()
        await asyncio.wait([task])
    await asyncio.sleep(0.2)
    for workload in (await local.call("GET", WORKLOADS)).body:
        events = await asyncio.wait_for(local.ready(workload["slug"]), 5)
        assert events[-1]["phase"] == "error"
