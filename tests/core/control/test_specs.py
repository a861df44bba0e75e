"""Is a spec fit to be sent? And where does it go?"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from inferencekey._core.control.spec_warnings import spec_warnings
from inferencekey._core.control.specs import (
    check_spec,
    resolve_project,
    secret_problems,
    spec_problems,
)
from inferencekey.errors import ConfigurationError, ValidationError
from inferencekey.models import Backend, WorkloadSpec

SECRET = "5ec2e7" * 10 + "abcd"
KEY = f"ik_live_proj1234_{SECRET}"
TOKEN = f"ik_sdk_proj1234_{SECRET}"


def spec(**given: Any) -> WorkloadSpec:
    return WorkloadSpec(
        **{"name": "Bot", "slug": "Support Bot", "model": "m", "backend": Backend.VLLM, **given}
    )


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"backend": "my-own"},
        {"backend": "vllm", "task_type": "embedding", "execution_policy": "fixed"},
        {"description": "", "project": ""},
        {"description": "Never write ik_live_ keys here"},
        {"description": "the ik_sdk_ token goes into the environment"},
        {"config": {"prompt": "Keys begin with ik_live_ or ik_sdk_."}},
        {"config": MappingProxyType({"a": (1, MappingProxyType({}))})},
        {"config": {}, "execution_policy_config": {"replicas": 1}},
        {"execution_policy_config": {"max_workers": 9}},
        {"execution_policy": "fixed"},
        {"execution_policy": "fixed", "execution_policy_config": MappingProxyType({"replicas": 2})},
        {
            "execution_policy": "scheduled",
            "execution_policy_config": {"window": "Mon-Fri 08:00-20:00 Europe/Madrid"},
        },
        {"vllm_version": "0.9", "backend": "vllm-omni"},
        {"project": " acme "},
        {"command": "vllm serve m --served-model-name my_ik_live_model"},
    ],
)
def test_accepts_specs(given: dict[str, Any]) -> None:
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
        ({"name": None}, "name must be a string; got NoneType"),
        ({"model": 5}, "model must be a string; got int"),
        ({"backend": None}, "backend must be a string; got NoneType"),
        ({"command": ["vllm", "serve"]}, "command must be a string; got list"),
        ({"description": b"a"}, "description must be a string; got bytes"),
        ({"project": 5}, "project must be a string; got int"),
        ({"config": "vllm serve"}, "config must be a mapping; got str"),
        ({"config": [1]}, "config must be a mapping; got list"),
        ({"execution_policy_config": 2}, "execution_policy_config must be a mapping; got int"),
        ({"config": {"a": {1}}}, "config cannot be sent as JSON: "),
        (
            {"execution_policy_config": {"a": 2**70}},
            "execution_policy_config cannot be sent as JSON: ",
        ),
        ({"slug": "---"}, "slug must contain a letter (a to z) or a digit; got '---'"),
        ({"command": ""}, "command must not be empty; leave it out for the backend's usual launch"),
        ({"command": " \n"}, "command must not be empty"),
        (
            {"command": "vllm serve 'm"},
            "command cannot be split into words as a shell does: No closing quotation",
        ),
        ({"command": "a\0b"}, "command must not contain NUL characters"),
        ({"config": {"command": " "}}, "config.command must not be empty"),
        ({"config": {"command": 5}}, "config.command must be a string; got int"),
        ({"config": {"command": ["vllm"]}}, "config.command must be a string; got list"),
        ({"config": {"vllm_version": 0.9}}, "config.vllm_version must be a string; got float"),
        ({"config": {"a": float("nan")}}, "config.a must be a finite number; got nan"),
        ({"config": {"a": [1, float("-inf")]}}, "config.a.1 must be a finite number; got -inf"),
        (
            {"vllm_version": ""},
            "vllm_version must be a version such as '0.9.2', without spaces; got ''",
        ),
        (
            {"vllm_version": "0.9 "},
            "vllm_version must be a version such as '0.9.2', without spaces; got '0.9 '",
        ),
        (
            {
                "execution_policy": "fixed",
                "execution_policy_config": {"replicas": 2, "min_workers": 1},
            },
            "execution_policy_config.min_workers is not a setting of 'fixed'; known: replicas",
        ),
        ({"task_type": "text2smell"}, "task_type must be one of text2text, embedding, "),
        ({"task_type": None}, "task_type must be one of "),
        ({"task_type": "text2txt"}, "task_type must be one of text2text, embedding, "),
        (
            {"execution_policy": "lunar"},
            "execution_policy must be one of fixed, scheduled, autoscaling; got 'lunar'",
        ),
        (
            {"execution_policy": "schedule"},
            "execution_policy must be one of fixed, scheduled, autoscaling; got 'schedule'; ",
        ),
        (
            {"execution_policy": "scheduled"},
            "execution_policy_config is required for execution_policy 'scheduled'",
        ),
        (
            {"execution_policy": "fixed", "execution_policy_config": {"replicas": 0}},
            "execution_policy_config.replicas must be an integer of at least 1; got 0",
        ),
        (
            {"execution_policy": "fixed", "execution_policy_config": {"a": 2**70}},
            "execution_policy_config cannot be sent",
        ),
        (
            {"execution_policy": "fixed", "execution_policy_config": []},
            "execution_policy_config must be a mapping",
        ),
        (
            {"backend": "llama.cpp"},
            "backend must be a slug such as 'vllm' or 'my-backend'; got 'llama.cpp'; did you "
            "mean 'llamacpp'?",
        ),
        (
            {"backend": "My Own"},
            "backend must be a slug such as 'vllm' or 'my-backend'; got 'My Own'",
        ),
        (
            {"project": "a/b"},
            "project must be a slug such as 'acme', without '/', '..', '%' or spaces; got 'a/b'",
        ),
        (
            {"backend": "llamacpp", "vllm_version": "0.9"},
            "vllm_version applies to the backends vllm and vllm-omni only; leave it out for "
            "'llamacpp'",
        ),
        (
            {"backend": "my-own", "vllm_version": ""},
            "vllm_version applies to the backends vllm and vllm-omni only",
        ),
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
    "text",
    [
        f"use {KEY} for it",
        f"({TOKEN})",
        f"x{KEY}",
        f"a_{KEY}",
        f"https://h/?k={KEY}&l",
        f"see\n{TOKEN}\n",
    ],
)
@pytest.mark.parametrize(
    "field",
    [
        "name",
        "slug",
        "model",
        "backend",
        "description",
        "command",
        "vllm_version",
        "worker_id",
        "project",
    ],
)
def test_no_field_may_have_a_credential_in_it(field: str, text: str) -> None:
    problems = spec_problems(spec(**{field: text}))
    assert any(problem.secret for problem in problems)
    assert SECRET not in repr(problems)
    with pytest.raises(ConfigurationError) as caught:
        check_spec(spec(**{field: text}))
    assert str(caught.value) == "configuration error: secrets must never go in specs"


@pytest.mark.parametrize("field", ["name", "description", "model"])
@pytest.mark.parametrize(
    "mention",
    ["keys begin with ik_sdk_", "like ik_live_0a1b2c3d_…", "an ik_live_key or ik_sdk_a_b"],
)
def test_accepts_a_mention_of_a_token(field: str, mention: str) -> None:
    check_spec(spec(**{field: mention}))


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
def test_the_project_of_the_call_wins_over_the_spec_and_the_client(
    call: str | None, spec_project: str | None, client: str | None, project: str
) -> None:
    assert resolve_project(call, spec_project, client) == project


def test_two_different_projects() -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_project("a", "b", "a")
    assert str(caught.value) == (
        "configuration error: project='a' was passed, but the spec has project='b'; remove one "
        "of them."
    )
    with pytest.raises(ConfigurationError) as caught:
        resolve_project("a", TOKEN, None)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("blank", [None, "", " "])
def test_a_missing_project_says_what_to_do(blank: str | None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_project(blank, blank, None)
    assert str(caught.value) == (
        "No project configured. Set INFERENCEKEY_PROJECT, pass project=, or set spec.project."
    )


@pytest.mark.parametrize("project", ["a/b", "..", "a%2fb"])
def test_a_project_is_checked_before_it_enters_a_path(project: str) -> None:
    for given in ((project, None, None), (None, project, None), (None, None, project)):
        with pytest.raises(ValidationError):
            resolve_project(*given)


@pytest.mark.parametrize("given", [{"name": "x"}, "support-bot", None])
def test_rejects_a_value_that_is_not_a_spec(given: Any) -> None:
    with pytest.raises(ValidationError, match="spec must be a WorkloadSpec; got "):
        check_spec(given)


def test_one_message_has_every_problem() -> None:
    wrong = spec(
        name=" ", model=5, task_type="x2y", config={"a": {1}}, vllm_version="1", backend="ollama"
    )
    fields = [problem.field for problem in spec_problems(wrong)]
    assert sorted(fields) == ["config", "model", "name", "task_type", "vllm_version"]
    with pytest.raises(ValidationError) as caught:
        check_spec(wrong)
    lines = str(caught.value).splitlines()
    assert lines[0] == "validation error: 5 problems in the spec:"
    assert lines[1:3] == ["  - name must not be empty", "  - model must be a string; got int"]
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("an ik_live_ key", []),
        ("ik_live_x", ["name contains a token; secrets must never go in specs"]),
        ({"a": ["ik_live_x"]}, ["name.a.0 contains a token; secrets must never go in specs"]),
        ({"a": 1}, []),
    ],
)
def test_finds_secrets_in_strings_and_in_mappings(value: object, found: list[str]) -> None:
    assert [problem.message for problem in secret_problems("name", value)] == found


def test_secrets_come_first_and_are_never_shown() -> None:
    wrong = spec(
        name=" ",
        config={"env": [{"KEY": KEY}], TOKEN: 1},
        execution_policy="fixed",
        execution_policy_config={"replicas": KEY},
    )
    problems = spec_problems(wrong)
    assert [problem.secret for problem in problems] == [True, True, True, False, False]
    assert {problem.path for problem in problems if problem.secret} == {
        ("config",),
        ("config", "env", 0, "KEY"),
        ("execution_policy_config", "replicas"),
    }
    assert SECRET not in repr(problems)
    with pytest.raises(ConfigurationError):
        check_spec(wrong)


def test_a_problem_has_its_path() -> None:
    pool = {"min_workers": 1, "max_workers": 1, "workers": {"source": "private"}}
    (problem,) = spec_problems(spec(execution_policy="autoscaling", execution_policy_config=pool))
    assert problem.path == ("execution_policy_config", "workers", "private_worker_ids")
    assert problem.field == "execution_policy_config"
    (problem,) = spec_problems(spec(name=""))
    assert problem.path == ("name",)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"command": "llama-server -m x"},
            "command runs llama-server, which serves the backend 'llamacpp', but backend is 'vllm'",
        ),
        ({"command": "/opt/bin/llama-server"}, "command runs llama-server, which"),
        (
            {"command": "A=1 B='x y' ollama serve", "backend": "sglang"},
            "command runs ollama, which serves the backend 'ollama'",
        ),
        (
            {"config": {"command": "vllm serve m"}, "backend": "llamacpp"},
            "command runs vllm, which serves the backend 'vllm' or 'vllm-omni'",
        ),
        (
            {"command": "python3.12 -O -m vllm.entrypoints.openai.api_server", "backend": "sglang"},
            "command runs python -m vllm.entr",
        ),
        (
            {"command": "python -m sglang.launch_server"},
            "command runs python -m sglang.launch_server, which",
        ),
        ({"command": r"C:\\bin\\llama-server.exe"}, "command runs llama-server, which"),
        ({"backend": "vlm"}, "backend 'vlm' names a custom backend; did you mean 'vllm'?"),
        (
            {"backend": "llama-cpp"},
            "backend 'llama-cpp' names a custom backend; did you mean 'llamacpp'?",
        ),
        (
            {"backend": "stable-diffusion-cpp"},
            "backend 'stable-diffusion-cpp' names a custom backend; did you mean "
            "'stablediffusioncpp'?",
        ),
    ],
)
def test_warns_of_probable_mistakes(given: dict[str, Any], text: str) -> None:
    check_spec(spec(**given))
    (warning,) = spec_warnings(spec(**given))
    assert warning.startswith(text)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"config": {"command": None}},
        {"config": {"a": 1}},
        {"command": "''"},
        {
            "config": {
                "token": "hf_xxx",
                "note": "sk-… goes into the environment",
                "list": ("sk-learn", 5),
            }
        },
        {"command": "serve --proxy http://$USER:$PASSWORD@proxy --at http://localhost:80/@x"},
        {"command": "serve --model sk-this-is-only-a-long-name-of-words"},
        {"command": "A=1"},
        {"command": "vllm serve m"},
        {"command": "vllm serve m --omni", "backend": "vllm-omni"},
        {"command": "python -m vllm.entrypoints.openai.api_server"},
        {"command": "python -m my_own.server"},
        {"command": "python -m"},
        {"command": "python serve.py", "backend": "ollama"},
        {"command": "python -m llama_cpp.server", "backend": "llamacpp"},
        {"command": "docker run vllm/vllm-openai", "backend": "sglang"},
        {"command": "env A=1 vllm serve m", "backend": "sglang"},
        {"command": "bash -c 'vllm serve m'", "backend": "ollama"},
        {"command": "vllm serve m", "backend": "my-own"},
        {"backend": "vllm-fork"},
        {"backend": "my-vllm"},
        {"backend": "ollama"},
    ],
)
def test_does_not_warn_of_what_may_be_intended(given: dict[str, Any]) -> None:
    assert spec_warnings(spec(**given)) == ()


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        ("hf_" + "aB3" * 11 + "x", "a Hugging Face token"),
        ("sk-" + "aB3" * 16, "an API key"),
        ("sk-proj-" + "a_B-3" * 9, "an API key"),
        ("ghp_" + "aB3" * 12, "a GitHub token"),
        ("AKIA" + "ABCD" * 4, "an AWS access key"),
        ("postgres://user:hunter2@db/x", "a password in a URL"),
    ],
)
def test_credentials_of_other_services_are_reported_and_not_shown(secret: str, kind: str) -> None:
    wanted = spec(
        command=f"vllm serve m --key={secret}",
        config={"env": {"A": secret}, "args": ["x", f"a={secret}"]},
    )
    check_spec(wanted)
    advice = "a spec is stored and shown in plans: put the credential into the engine's environment"
    assert spec_warnings(wanted) == tuple(
        f"{where} seems to contain {kind}; {advice}"
        for where in ("command", "config.env.A", "config.args.1")
    )


def test_a_warning_shows_no_secret() -> None:
    assert SECRET not in "".join(
        spec_warnings(spec(command=f"python -m vllm.{KEY}", backend="sglang"))
    )


@pytest.mark.parametrize("field", ["name", "slug", "model", "description", "command", "worker_id"])
def test_half_a_character_is_refused_by_field(field: str) -> None:
    given: dict[str, Any] = {"name": "b", "slug": "b", "model": "m", "backend": "vllm"}
    with pytest.raises(ValidationError, match=f"error: {field} must not contain invalid Unicode"):
        check_spec(WorkloadSpec(**{**given, field: "half\ud83d"}))
