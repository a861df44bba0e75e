"""Half a character anywhere in a manifest: refused by field and line, and never written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from inferencekey import WorkloadSpec
from inferencekey.errors import ValidationError
from inferencekey.manifest import (
    FORMATS,
    Lock,
    ManifestError,
    dump_manifest,
    load_manifest,
    starter_manifest,
)
from inferencekey.models.toml import toml_text

ONE: dict[str, Any] = {"name": "one", "slug": "one", "model": "m", "backend": "vllm"}
HALF = "a\ud800b"

PLACES: list[tuple[str, dict[str, Any]]] = [
    *((name, {"workloads": [{**ONE, name: HALF}]}) for name in (*ONE, "description", "command")),
    ("task_type", {"workloads": [{**ONE, "task_type": HALF}]}),
    ("config.a.1", {"workloads": [{**ONE, "config": {"a": ["", HALF]}}]}),
    (r"the key config.a\ud800b", {"workloads": [{**ONE, "config": {HALF: 1}}]}),
    (r"the key a\ud800b", {"workloads": [{**ONE, HALF: 1}]}),
    ("config.a", {"defaults": {"config": {"a": HALF}}, "workloads": [ONE]}),
    ("project", {"project": HALF, "workloads": [ONE]}),
    ("$schema", {"$schema": HALF, "workloads": [ONE]}),
    (r"the key a\ud800b", {HALF: 1, "workloads": [ONE]}),
]


@pytest.mark.parametrize("suffix", ["json", "yaml"])  # TOML has no escape for it
@pytest.mark.parametrize(("field", "values"), PLACES, ids=[field for field, _ in PLACES])
def test_it_is_refused_by_field(
    tmp_path: Path, field: str, values: dict[str, Any], suffix: str
) -> None:
    path = tmp_path / f"inferencekey.{suffix}"
    path.write_text(json.dumps(values))
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    [problem] = caught.value.problems
    assert problem.message.startswith(f"{field} contains invalid Unicode"), problem
    str(caught.value).encode()


def test_toml_refuses_the_escape(tmp_path: Path) -> None:
    path = tmp_path / "inferencekey.toml"
    path.write_text('project = "\\ud800"\n')
    with pytest.raises(ManifestError, match=r"inferencekey\.toml:1: is not TOML"):
        load_manifest(path)


def test_a_variable_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "inferencekey.json"
    path.write_text(json.dumps({"workloads": [{**ONE, "description": "a ${TEXT}"}]}))
    with pytest.raises(ManifestError, match="description: the variable TEXT has bytes"):
        load_manifest(path, environ={"TEXT": os.fsdecode(b"\xff")})


def test_both_halves_of_a_character_are_one(tmp_path: Path) -> None:
    path = tmp_path / "inferencekey.json"
    path.write_text(json.dumps({"workloads": [{**ONE, "description": "😀"}]}))
    assert "\\ud83d" in path.read_text()
    assert load_manifest(path).specs[0].description == "😀"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("description", {"description": HALF}),
        ("config.a.0", {"config": {"a": [HALF]}}),
        (r"config.a\\ud800b", {"config": {HALF: 1}}),
    ],
)
def test_it_is_not_written(field: str, values: dict[str, Any], format: Any) -> None:
    spec = WorkloadSpec(**{**ONE, **values})
    with pytest.raises(ValidationError, match=f"'one': {field} contains invalid Unicode"):
        dump_manifest("acme", [spec], format)
    with pytest.raises(ValidationError, match="the manifest: project contains invalid Unicode"):
        dump_manifest(HALF, [], format)


def test_lock_files_and_starters(tmp_path: Path) -> None:
    for part in ("base_url", "project", "slug", "id"):
        entry = {"base_url": "http://x", "project": "p", "slug": "s", "id": "i", part: HALF}
        with pytest.raises(ValidationError, match="invalid Unicode"):
            Lock(tmp_path / "a.lock").record(**entry).write()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValidationError, match="project must be a slug"):
        starter_manifest(HALF)
    with pytest.raises(ValidationError, match="invalid Unicode"):
        toml_text({"a": [{HALF: 1}]})
