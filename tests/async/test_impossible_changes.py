"""Specs that are impossible only because of the live workload: rejected before any write."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from faults.calls import TOKEN
from faults.plane import Plane, call

from inferencekey import (
    AsyncManagementClient,
    EnsureAllError,
    ManagementClient,
    ValidationError,
    WorkloadSpec,
    WorkloadSpecWarning,
)

WAYS = pytest.mark.parametrize("way", ["async", "sync"])


@pytest.fixture
def plane() -> Iterator[Plane]:
    with Plane() as server:
        yield server


def spec(slug: str, **fields: Any) -> WorkloadSpec:
    return WorkloadSpec(**{"name": slug, "slug": slug, "model": "m", "backend": "ollama", **fields})


@WAYS
@pytest.mark.parametrize("method", ["plan", "ensure"])
def test_policy_settings_without_a_policy_create_nothing(
    way: str, plane: Plane, method: str
) -> None:
    with pytest.raises(
        ValidationError,
        match="workload 'a' does not exist yet, so its execution_policy_config needs",
    ):
        call(way, plane, method, spec("a", execution_policy_config={"replicas": 2}))
    assert plane.count("POST") == 0


@WAYS
def test_only_the_impossible_spec_of_many_fails(way: str, plane: Plane) -> None:
    with pytest.raises(EnsureAllError) as caught:
        call(
            way,
            plane,
            "ensure_all",
            [spec("a", execution_policy_config={"replicas": 2}), spec("b")],
        )
    assert [type(error) for error in caught.value.exceptions] == [ValidationError]
    assert plane.slugs() == ["b"]


@WAYS
def test_a_changed_task_type_warns_at_the_users_line(way: str, plane: Plane) -> None:
    plane.add("a", task_type="embedding")
    ours = {"base_url": plane.url, "project": "acme", "sdk_token": TOKEN}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if way == "sync":
            with ManagementClient(**ours) as management:
                management.plan(spec("a"))
                management.ensure(spec("a"))
                management.ensure_all([spec("a"), spec("b")])
        else:

            async def awaited() -> None:
                async with AsyncManagementClient(**ours) as management:
                    await management.plan(spec("a"))
                    await management.ensure(spec("a"))
                    await management.ensure_all([spec("a"), spec("b")])

            asyncio.run(awaited())
    text = (
        "workload 'a' has the task_type 'embedding', but the spec has 'text2text'; "
        "task_type cannot be changed: delete the workload, or use another slug"
    )
    assert [(one.category, str(one.message), one.filename) for one in caught] == [
        (WorkloadSpecWarning, text, __file__)
    ] * 3
