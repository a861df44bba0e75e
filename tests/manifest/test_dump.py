"""From specs to manifests and back, and from live workloads to specs."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from inferencekey._core.control.plans import create_body, make_plan
from inferencekey._core.control.wire import workload
from inferencekey._core.slugs import canonical_slug
from inferencekey.errors import ConfigurationError, ValidationError
from inferencekey.manifest import FORMATS, dump_manifest, load_manifest, spec_of
from inferencekey.manifest.dump import Format
from inferencekey.models import Workload, WorkloadSpec
from manifest.texts import KEY, SECRET, specs

SPEC = WorkloadSpec(name="Bot", slug="bot", model="m", backend="vllm")


def loaded(text: str, format: str, **environ: str) -> tuple[WorkloadSpec, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"inferencekey.{format}")
        path.write_bytes(text.encode())
        return load_manifest(path, environ=environ).specs


@given(specs())
def test_a_spec_survives_a_dict_and_toml(spec: WorkloadSpec) -> None:
    assert WorkloadSpec.from_dict(spec.to_dict()) == spec
    assert WorkloadSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert WorkloadSpec.from_toml(spec.to_toml()) == spec


@given(st.lists(specs(), max_size=3), st.sampled_from(FORMATS))
def test_a_dumped_manifest_loads_as_the_same_specs(
    written: list[WorkloadSpec], format: Format
) -> None:
    assume(len({(spec.project, canonical_slug(spec.slug)) for spec in written}) == len(written))
    assert loaded(dump_manifest(None, written, format), format) == tuple(written)


@given(specs(null=True), st.sampled_from(["yaml", "json"]))
def test_nulls_in_mappings_are_kept_where_the_format_has_them(
    spec: WorkloadSpec, format: Format
) -> None:
    assert loaded(dump_manifest(None, [spec], format), format) == (spec,)


@pytest.mark.parametrize("format", FORMATS)
def test_the_manifests_project_is_written_once(format: Format) -> None:
    other = SPEC.evolve(slug="other", project="elsewhere")
    text = dump_manifest("acme", [SPEC, SPEC.evolve(slug="b", project="acme"), other], format)
    assert text.count("acme") == 1
    assert [spec.project for spec in loaded(text, format)] == ["acme", "acme", "elsewhere"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_manifest_without_workloads(format: Format) -> None:
    assert loaded(dump_manifest("acme", [], format), format) == ()


def test_long_commands_are_readable() -> None:
    spec = SPEC.evolve(command="vllm serve m \\\n  --port 8000\n", config={"a": 1})
    assert "command = '''\nvllm serve m \\\n  --port 8000\n'''" in dump_manifest(None, [spec])
    assert "command: |\n    vllm serve m \\\n      --port 8000\n" in dump_manifest(
        None, [spec], "yaml"
    )


def test_dumped_yaml_reads_the_same_by_the_rules_of_yaml_1_1() -> None:
    spec = SPEC.evolve(config={"a": "on", "b": "0o14", "c": "22:00", "d": "1e3", "e": "2026-01-02"})
    assert (
        yaml.safe_load(dump_manifest(None, [spec], "yaml"))["workloads"][0]["config"] == spec.config
    )


def test_rejects_specs_that_a_format_cannot_carry() -> None:
    with pytest.raises(
        ValidationError,
        match="^validation error: format must be one of toml, yaml, json; got 'xml'$",
    ):
        dump_manifest(None, [], "xml")  # type: ignore[arg-type]
    with pytest.raises(
        ValidationError,
        match="the workload 'bot': config.a.0 cannot be written as TOML: null; use YAML",
    ):
        dump_manifest(None, [SPEC.evolve(config={"a": [None]})])
    with pytest.raises(
        ValidationError,
        match="the workload 'bot' cannot be written to a manifest: model must not be empty",
    ):
        dump_manifest(None, [SPEC.evolve(model=" ")])
    with pytest.raises(ConfigurationError) as caught:
        dump_manifest(None, [SPEC.evolve(config={"env": {"KEY": KEY}})])
    assert str(caught.value) == (
        "configuration error: the workload 'bot' cannot be written to a manifest: "
        "config.env.KEY contains a token; "
        "secrets must never go in specs"
    )


def live(**fields: Any) -> Workload:
    body = {
        "id": "w1",
        "slug": "bot",
        "name": "Bot",
        "backend": "vllm",
        "model_name": "m",
        "task_type": "text2text",
    }
    return workload({**body, **fields})


@given(specs(null=True))
def test_the_spec_of_a_live_workload_plans_no_change(spec: WorkloadSpec) -> None:
    there = live(**create_body(spec))
    found = spec_of(there)
    assert make_plan(found, there, project="acme").action == "none"
    assert attrs.evolve(found, slug="x") == attrs.evolve(
        spec_of(live(**create_body(found))), slug="x"
    )


def test_the_spec_of_a_live_workload() -> None:
    there = live(
        config={
            "command": "vllm serve m",
            "vllm_version": "0.9",
            "a": {"b": None, "c": [None]},
            "d": None,
        },
        execution_policy="fixed",
        execution_policy_config={"replicas": 1, "zone": "the server knows it"},
        description="",
    )
    assert spec_of(there) == SPEC.evolve(
        command="vllm serve m",
        vllm_version="0.9",
        config={"a": {"c": [None]}},
        description="",
        execution_policy="fixed",
        execution_policy_config={"replicas": 1},
    )
    assert spec_of(live(backend="llamacpp", config={"vllm_version": "1"})).config == {
        "vllm_version": "1"
    }
    assert spec_of(live(config={"command": " ", "vllm_version": ""})) == SPEC
    unset = live(execution_policy_config={"zone": "eu"})
    assert make_plan(spec_of(unset), unset, project="acme").action == "none"
    assert spec_of(live(config={"command": "c"})).config is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"task_type": "text2smell"}, "task_type must be one of"),
        ({"execution_policy": "lunar"}, "execution_policy must be one of"),
        ({"name": ""}, "name must not be empty"),
        ({"config": {"command": ["vllm"]}}, "config.command must be a string; got list"),
        ({"config": {"command": "vllm '"}}, "command cannot be split into words"),
    ],
)
def test_rejects_a_live_workload_that_no_spec_can_describe(
    fields: dict[str, Any], text: str
) -> None:
    with pytest.raises(
        ValidationError,
        match=f"^validation error: the workload 'bot' cannot be written to a manifest: {text}",
    ):
        spec_of(live(**fields))


def test_rejects_a_live_workload_with_a_secret() -> None:
    with pytest.raises(ConfigurationError) as caught:
        spec_of(live(config={"command": f"vllm serve m --api-key {KEY}"}))
    assert "the workload 'bot' cannot be written to a manifest: command contains a token" in str(
        caught.value
    )
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("format", FORMATS)
def test_control_characters_are_escaped(tmp_path: Path, format: Format) -> None:
    every = "".join(chr(code) for code in range(1, 0xA1))
    spec = WorkloadSpec(
        name="a", slug="a", model="m", backend="vllm", description=every, config={every: [every]}
    )
    text = dump_manifest("acme", [spec], format)
    assert {char for char in text if ord(char) < 32 or 0x7F <= ord(char) < 0xA0} <= {"\n"}
    path = tmp_path / f"inferencekey.{format}"
    path.write_text(text, encoding="utf-8")
    assert load_manifest(path).specs == (spec.evolve(project="acme"),)


def test_rejects_a_value_that_looks_like_a_token() -> None:
    with pytest.raises(
        ConfigurationError,
        match="'bot' cannot be written to a manifest: description contains a token",
    ):
        dump_manifest(None, [SPEC.evolve(description="it begins with ik_live_0a1b2c3d_5ec2")])


def test_rejects_a_token_in_the_middle_of_a_string() -> None:
    told = WorkloadSpec(
        name="a",
        slug="a",
        model="m",
        backend="vllm",
        description="use ik_live_0a1b2c3d_" + "f" * 64,
    )
    with pytest.raises(
        ConfigurationError,
        match="'a' cannot be written to a manifest: description contains a token",
    ) as caught:
        dump_manifest("acme", [told])
    assert "f" * 8 not in str(caught.value)
    mentioned = told.evolve(description="keys begin with ik_live_")
    assert mentioned.description is not None
    assert mentioned.description in dump_manifest("acme", [mentioned])
