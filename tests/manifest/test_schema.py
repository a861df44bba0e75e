"""The JSON Schema: it is up to date, accepts valid manifests, and rejects invalid ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from inferencekey.manifest import dump_manifest, manifest_schema
from inferencekey.models import Backend, TaskType, WorkloadSpec
from manifest.texts import WHOLE, one, specs

PUBLISHED = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
VALIDATOR = Draft202012Validator(manifest_schema())


def scheduled(**config: Any) -> dict[str, Any]:
    return {"project": "p", **one(execution_policy="scheduled", execution_policy_config=config)}


def scaled(workers: Any, **more: Any) -> dict[str, Any]:
    config = {"min_workers": 0, "max_workers": 2, "workers": workers, **more}
    return {"project": "p", **one(execution_policy="autoscaling", execution_policy_config=config)}


POOL = {"gpu_pool": ["RTX 4090"], "max_hourly_cost_usd": 0.5, "max_instances": 2}
CLOUD = {"source": "cloud", "cloud_pool": POOL}


def test_the_published_schema_is_up_to_date() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == manifest_schema(), (
        "write it anew: inferencekey schema > docs/manifest.schema.json"
    )


def test_it_is_a_valid_json_schema() -> None:
    Draft202012Validator.check_schema(manifest_schema())


def test_every_field_has_a_description() -> None:
    fields = manifest_schema()["$defs"]["workload"]["properties"]
    assert list(fields) == [field.name for field in attrs.fields(WorkloadSpec)]
    assert all(field["description"] for field in fields.values())
    assert fields["name"]["description"] == "Label for people."
    assert (
        fields["backend"]["description"]
        == "A Backend, its wire string, or the slug of a custom backend."
    )
    assert {"enum": [str(one) for one in Backend]} in fields["backend"]["anyOf"]
    assert {"enum": [str(one) for one in TaskType]} in fields["task_type"]["anyOf"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        WHOLE,
        one(),
        {"$schema": "./manifest.schema.json", **one()},
        one(description=None, config=None),
        {"project": "p", **one(execution_policy="fixed")},
        one(task_type="${TASK}", backend="${BACKEND}"),
        one(backend="my-own"),
        {"workloads": [{"slug": "s"}]},
        {"project": "p", "defaults": {"model": "m"}, "workloads": [{"slug": "s"}]},
        scheduled(cron="0 2 * * *"),
        scheduled(window="Fri-Mon 22:00-06:00 Europe/Madrid"),
        scheduled(window="${WINDOW}"),
        scaled(CLOUD, max_hourly_cost_usd=1),
        scaled({"source": "private", "private_worker_ids": ["w"]}),
        one(execution_policy="autoscaling", execution_policy_config={"max_workers": 3}),
        one(execution_policy_config={"a": 1}),
    ],
)
def test_accepts_valid_manifests(values: Any) -> None:
    VALIDATOR.validate(values)


@pytest.mark.parametrize(
    "values",
    [
        [],
        {"projekt": "p"},
        {"project": ""},
        {"workloads": {}},
        {"workloads": [1]},
        {"workloads": [{}]},
        {"defaults": {"name": "x"}},
        {"defaults": {"project": "x"}},
        one(model=5),
        one(name=" "),
        one(colour="red"),
        one(task_type="text2txt"),
        one(backend="My Own"),
        one(command=["vllm"]),
        one(config=[]),
        one(execution_policy="often"),
        {"project": "p", "workloads": [{"name": "x"}]},
        one(execution_policy="fixed", execution_policy_config={"replicas": 0}),
        {"project": "p", **one(execution_policy="fixed", execution_policy_config={})},
        {"project": "p", **one(execution_policy="scheduled")},
        one(execution_policy="fixed", execution_policy_config={"replcias": 2}),
        one(execution_policy="fixed", execution_policy_config={"replicas": 2, "min_workers": 1}),
        scaled({**CLOUD, "cloud_pool": {**POOL, "gpus": []}}, max_hourly_cost_usd=1),
        scheduled(),
        scheduled(cron="0 2 * *"),
        scheduled(window="08:00-20:00"),
        scheduled(cron="0 2 * * *", window="Mon 08:00-20:00 UTC"),
        scaled(CLOUD),
        scaled({"source": "cloud"}, max_hourly_cost_usd=1),
        scaled({"source": "moon"}),
        scaled({}),
        scaled(None),
        scaled({"source": "private"}),
        scaled({"source": "private", "private_worker_ids": []}),
        scaled({**CLOUD, "cloud_pool": {**POOL, "gpu_pool": []}}, max_hourly_cost_usd=1),
        scaled(CLOUD, max_hourly_cost_usd=0),
    ],
)
def test_rejects_invalid_manifests(values: Any) -> None:
    assert not VALIDATOR.is_valid(values)


@settings(max_examples=30)
@given(st.lists(specs(null=True), max_size=2), st.sampled_from([None, "acme"]))
def test_accepts_every_dumped_manifest(written: list[WorkloadSpec], project: str | None) -> None:
    VALIDATOR.validate(json.loads(dump_manifest(project, written, "json")))
