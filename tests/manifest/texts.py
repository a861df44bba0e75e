"""What the manifest's tests share: one manifest in three formats, and every spec there can be."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from inferencekey.errors import ValidationError
from inferencekey.manifest import Manifest, ManifestError, load_manifest
from inferencekey.models import ExecutionPolicy, TaskType, WorkloadSpec
from inferencekey.models.toml import toml_text

SECRET = "5ec2e7" * 10 + "abcd"
KEY = f"ik_live_proj1234_{SECRET}"

WRITERS: dict[str, Callable[[Any], str]] = {
    "toml": lambda values: toml_text(values, tables=("workloads",)),
    "yaml": lambda values: yaml.safe_dump(values, sort_keys=False),
    "json": lambda values: json.dumps(values, indent=2),
}


WHOLE = {
    "project": "acme",
    "defaults": {
        "backend": "vllm",
        "config": {"env": {"A": "1", "B": "2"}, "port": 1},
        "description": "one of many",
    },
    "workloads": [
        {
            "name": "Support Bot",
            "model": "org/m",
            "command": "vllm serve m \\\n  --port 8000\n",
            "config": {"env": {"B": "3"}, "list": [1, 2.5, True, {"a": []}]},
            "execution_policy": "fixed",
            "execution_policy_config": {"replicas": 2},
        },
        {
            "slug": "billing",
            "model": "m",
            "backend": "llamacpp",
            "task_type": "embedding",
            "project": "other",
        },
    ],
}


def write(folder: Path, values: Any, format: str = "toml") -> Path:
    path = folder / f"inferencekey.{format}"
    path.write_text(
        values if isinstance(values, str) else WRITERS[format](values), encoding="utf-8"
    )
    return path


def load(folder: Path, values: Any, format: str = "toml", **environ: str) -> Manifest:
    return load_manifest(write(folder, values, format), environ=environ)


def problems(
    folder: Path, values: Any, format: str = "toml", **environ: str
) -> list[tuple[int | None, str]]:
    try:
        load(folder, values, format, **environ)
    except ManifestError as error:
        return [(problem.line, problem.message) for problem in error.problems]
    raise AssertionError("nothing is wrong with it")


def one(**fields: Any) -> dict[str, Any]:
    """A manifest of one workload."""
    return {"workloads": [{"name": "bot", "model": "m", "backend": "vllm", **fields}]}


_texts = st.text(st.characters(codec="utf-8"), max_size=15) | st.sampled_from(
    [
        "on",
        "no",
        "~",
        "null",
        "1.5",
        "0o14",
        "0x1f",
        "22:00",
        "1_000",
        "2026-01-02",
        "${HOME}",
        "$${A}",
        "$$${",
        "a: b",
        "- a",
        "#",
        "'",
        "a\r\nb",
        "a\n b\n",
        " a\n",
        "\\\n'''",
        "=",
        "<<",
        "!x",
        "\x85",
        "\ufeff",
    ]
)
_full = _texts.filter(lambda text: bool(text.strip()) and not text.lstrip().startswith("ik_"))
_scalars = (
    _texts
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
)
_keys = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["on", "<<", "1", "a.b", "${A}", "null", ""]
)


def _mappings(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    values = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
        max_leaves=5,
    )
    return st.dictionaries(_keys, values, max_size=3)


_configs = _mappings(_scalars)
_configs_with_null = _mappings(_scalars | st.none())
_policies = st.sampled_from(
    [
        (None, None),
        (None, {"max_workers": 3}),
        ("fixed", None),
        ("fixed", {"replicas": 2}),
        ("scheduled", {"cron": "0 2 * * *"}),
        ("scheduled", {"window": "Fri-Mon 22:00-06:00 UTC"}),
    ]
)


def _splits(text: str) -> bool:
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


_commands = _full.filter(lambda text: "\0" not in text and _splits(text)) | st.sampled_from(
    ["vllm serve m \\\n  --port 1\n"]
)


def _valid(spec: WorkloadSpec) -> bool:
    from inferencekey._core.control.specs import spec_problems

    try:
        return not spec_problems(spec)
    except ValidationError:
        return False


@st.composite
def specs(draw: st.DrawFn, *, null: bool = False) -> WorkloadSpec:
    """Any valid spec; with *null*, nulls inside its mappings."""
    optional = st.none() | _texts
    kind, config = draw(_policies)
    backend = draw(st.sampled_from(["vllm", "vllm-omni", "llamacpp", "my-own"]))
    spec = WorkloadSpec(
        name=draw(_full),
        slug=draw(_full),
        model=draw(_full),
        backend=backend,
        task_type=draw(st.sampled_from(TaskType)),
        description=draw(optional),
        command=draw(st.none() | _commands),
        vllm_version=draw(st.none() | st.sampled_from(["0.9", "1e3", "12", "0.9.2-rc1", "${A}"]))
        if backend.startswith("vllm")
        else None,
        config=draw(st.none() | (_configs_with_null if null else _configs)),
        worker_id=draw(optional),
        gpu_resource_id=draw(optional),
        execution_policy=ExecutionPolicy(kind) if kind else None,
        execution_policy_config=config,
        project=draw(st.sampled_from([None, "acme", "other"])),
    )
    from hypothesis import assume

    assume(_valid(spec))
    return spec
