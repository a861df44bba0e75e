"""Is a spec fit to be sent? And where does it go?"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from inferencekey._core.specs import check_spec, resolve_project
from inferencekey.errors import ConfigurationError, ValidationError
from inferencekey.models import Backend, WorkloadSpec

SECRET = "5ec2e7" * 10 + "abcd"
KEY = f"ik_live_proj1234_{SECRET}"
TOKEN = f"ik_sdk_proj1234_{SECRET}"


def spec(**given: Any) -> WorkloadSpec:
    return WorkloadSpec(**{"name": "Bot", "slug": "Support Bot", "model": "m", "backend": Backend.VLLM, **given})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"backend": "my-own"},
        {"backend": "vllm", "task_type": "embedding", "execution_policy": "fixed"},
        {"description": "", "command": "", "project": ""},
        {"description": "Never write ik_live_ keys here"},
        {"description": "the ik_sdk_ token goes into the environment"},
        {"config": {"prompt": "Keys begin with ik_live_ or ik_sdk_."}},
        {"config": MappingProxyType({"a": (1, MappingProxyType({}))})},
        {"config": {}, "execution_policy_config": {"replicas": 1}},
        {"command": "vllm serve m --served-model-name my_ik_live_model"},
    ],
)
def test_specs_that_pass(given: dict[str, Any]) -> None:
    assert check_spec(spec(**given)) == "support-bot"


@pytest.mark.parametrize("field", ["name", "slug", "model", "backend"])
@pytest.mark.parametrize("blank", ["", " \t\n"])
def test_required_fields_must_not_be_blank(field: str, blank: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_spec(spec(**{field: blank}))
    assert str(caught.value) == f"validation error: {field} must not be empty"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"name": None}, "name must be a text; got NoneType"),
        ({"model": 5}, "model must be a text; got int"),
        ({"backend": None}, "backend must be a text; got NoneType"),
        ({"command": ["vllm", "serve"]}, "command must be a text; got list"),
        ({"description": b"a"}, "description must be a text; got bytes"),
        ({"project": 5}, "project must be a text; got int"),
        ({"config": "vllm serve"}, "config must be a mapping; got str"),
        ({"config": [1]}, "config must be a mapping; got list"),
        ({"execution_policy_config": 2}, "execution_policy_config must be a mapping; got int"),
        ({"config": {"a": {1}}}, "config cannot be sent as JSON: "),
        ({"execution_policy_config": {"a": 2**70}}, "execution_policy_config cannot be sent as JSON: "),
        ({"slug": "---"}, "slug must not be empty; got '---'"),
        ({"task_type": "text2smell"}, "task_type must be one of text2text, embedding, "),
        ({"task_type": None}, "task_type must be one of "),
        ({"execution_policy": "lunar"}, "execution_policy must be one of fixed, scheduled, autoscaling; got 'lunar'"),
    ],
)
def test_wrong_specs(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_spec(spec(**given))
    assert str(caught.value).startswith(f"validation error: {text}")


@pytest.mark.parametrize("secret", [KEY, TOKEN, "ik_live_x", "ik_sdk_", f"  {KEY}"])
@pytest.mark.parametrize(
    "field",
    [
        "name",
        "slug",
        "model",
        "backend",
        "task_type",
        "description",
        "command",
        "vllm_version",
        "worker_id",
        "gpu_resource_id",
        "execution_policy",
        "project",
    ],
)
def test_no_field_may_be_a_credential(field: str, secret: str) -> None:
    if secret.startswith(" ") and field in {"task_type", "execution_policy"}:
        secret = secret.strip()
    with pytest.raises(ConfigurationError) as caught:
        check_spec(spec(**{field: secret}))
    assert str(caught.value) == "configuration error: secrets must never go in specs"


@pytest.mark.parametrize(
    "command",
    [
        f"vllm serve m --api-key {KEY}",
        f"vllm serve m --api-key={KEY}",
        f'vllm serve m --api-key "{KEY}"',
        f"vllm serve m --api-key='{TOKEN}' --port 1",
        f"vllm serve m\n--api-key\n{KEY}",
        f"KEY={KEY} vllm serve m",
        f"sh -c 'echo;{KEY}'",
        f"curl https://u:{KEY}@host/?key={KEY}",
        f'--overrides \'{{"token":"{TOKEN}"}}\'',
        f"echo $({KEY})",
        "--api-key ik_live_…",
    ],
)
def test_no_command_may_hold_a_credential(command: str) -> None:
    for given in (
        {"command": command},
        {"config": {"command": command}} if SECRET in command else {"command": command},
    ):
        with pytest.raises(ConfigurationError) as caught:
            check_spec(spec(**given))
        assert str(caught.value) == "configuration error: secrets must never go in specs"


@pytest.mark.parametrize(
    "config",
    [
        {"key": KEY},
        {KEY: 1},
        {"env": [{"name": "KEY", "value": TOKEN}]},
        {"args": ("--api-key", KEY)},
        MappingProxyType({"a": MappingProxyType({"b": [[KEY]]})}),
        {"url": f"https://host/?key={KEY}"},
        {"key": "ik_live_"},
    ],
)
@pytest.mark.parametrize("field", ["config", "execution_policy_config"])
def test_no_mapping_may_hold_a_credential(field: str, config: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_spec(spec(**{field: config}))
    assert str(caught.value) == "configuration error: secrets must never go in specs"


@pytest.mark.parametrize(
    ("call", "spec_project", "client", "project"),
    [
        ("a", None, None, "a"),
        (None, "b", None, "b"),
        (None, None, "c", "c"),
        ("a", None, "c", "a"),
        (None, "b", "c", "b"),
        ("a", "a", "c", "a"),
        (" a ", "a", None, "a"),
        ("", " ", "c", "c"),
    ],
)
def test_the_call_beats_the_spec_beats_the_client(
    call: str | None, spec_project: str | None, client: str | None, project: str
) -> None:
    assert resolve_project(call, spec_project, client) == project


def test_two_different_projects() -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_project("a", "b", "a")
    assert str(caught.value) == (
        "configuration error: project='a' was passed, but the spec says project='b'; drop one of them."
    )
    with pytest.raises(ConfigurationError) as caught:
        resolve_project("a", TOKEN, None)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("blank", [None, "", " "])
def test_no_project_names_the_way_out(blank: str | None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_project(blank, blank, None)
    assert str(caught.value) == ("No project configured. Set INFERENCEKEY_PROJECT, pass project=, or set spec.project.")


@pytest.mark.parametrize("project", ["a/b", "..", "a%2fb"])
def test_a_project_is_checked_before_it_enters_a_path(project: str) -> None:
    for given in ((project, None, None), (None, project, None), (None, None, project)):
        with pytest.raises(ValidationError):
            resolve_project(*given)


@pytest.mark.parametrize("given", [{"name": "x"}, "support-bot", None])
def test_what_is_no_spec(given: Any) -> None:
    with pytest.raises(ValidationError, match="spec must be a WorkloadSpec; got "):
        check_spec(given)
