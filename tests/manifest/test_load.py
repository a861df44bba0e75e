"""From manifests to specs, or to all mistakes with their lines."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from inferencekey import config
from inferencekey.errors import InferenceKeyError, ValidationError
from inferencekey.installing import install_command
from inferencekey.manifest import ManifestError, ManifestProblem, find_manifest, load_manifest
from inferencekey.manifest.entry import DEFAULTS, FIELDS
from inferencekey.models import Backend, WorkloadSpec
from manifest.texts import KEY, SECRET, WHOLE, load, one, problems, write

FORMATS = ("toml", "yaml", "json")
FIRST = "[[workloads]]\nname='a'\nmodel='m'\nbackend='vllm'\n"

SPECS = (
    WorkloadSpec(
        name="Support Bot",
        slug="support-bot",
        model="org/m",
        backend=Backend.VLLM,
        description="one of many",
        command="vllm serve m \\\n  --port 8000\n",
        config={"env": {"A": "1", "B": "3"}, "port": 1, "list": [1, 2.5, True, {"a": []}]},
        execution_policy="fixed",
        execution_policy_config={"replicas": 2},
        project="acme",
    ),
    WorkloadSpec(
        name="billing",
        slug="billing",
        model="m",
        backend=Backend.LLAMACPP,
        description="one of many",
        config={"env": {"A": "1", "B": "2"}, "port": 1},
        task_type="embedding",
        project="other",
    ),
)


@pytest.mark.parametrize("format", FORMATS)
def test_a_manifest(tmp_path: Path, format: str) -> None:
    manifest = load(tmp_path, WHOLE, format)
    assert manifest.specs == SPECS
    assert manifest.project == "acme"
    assert manifest.path == tmp_path / f"inferencekey.{format}"
    assert manifest.sources == (manifest.path,)
    lines = manifest.path.read_text().splitlines()
    assert [str(place.path) for place in manifest.places] == [str(manifest.path)] * 2
    first, second = (place.line or 0 for place in manifest.places)
    assert "Support Bot" in "".join(lines[first - 1 : first + 2])
    assert "billing" in "".join(lines[second - 1 : second + 2])
    assert str(manifest.places[0]) == f"{manifest.path}:{first}"
    assert manifest.lock_path == tmp_path / "inferencekey.lock"


@pytest.mark.parametrize(
    ("format", "text"),
    [("toml", ""), ("toml", "# empty"), ("yaml", ""), ("yaml", "# empty"), ("json", "{}")],
)
def test_a_manifest_without_workloads(tmp_path: Path, format: str, text: str) -> None:
    assert load(tmp_path, text, format).specs == ()


TEN = {
    "toml": """\
projekt = "acme"
[defaults]
backend = "vllm"
colour = "red"
[[workloads]]
name = "Bot"
model = "m"
task_type = "text2txt"
[[workloads]]
slug = "---"
model = 5
vllm_version = "1"
backend = "llamacpp"
[[workloads]]
name = "bot"
model = "${MODEL}"
description = "%(key)s"
execution_policy = "scheduled"
execution_policy_config.cron = "61 * * * *"
[[workloads]]
name = "c"
modle = "x"
config.args = [
  "--key",
  "${TOKEN}",
]
[[workloads]]
model = "m"
""",
    "yaml": """\
projekt: acme
defaults:
  backend: vllm
  colour: red
workloads:
- name: Bot
  model: m
  task_type: text2txt
- slug: "---"
  model: 5
  vllm_version: "1"
  backend: llamacpp
- name: bot
  model: ${MODEL}
  description: %(key)s
  execution_policy: scheduled
  execution_policy_config: {
    cron: "61 * * * *" }
- name: c
  modle: x
  config:
    args:
    - --key
    - ${TOKEN}
- model: m
""",
    "json": """\
{"projekt": "acme",
"defaults": {"backend": "vllm",
"colour": "red"}, "workloads": [
{"name": "Bot", "model": "m",
"task_type": "text2txt"},
{"slug": "---",
"model": 5,
"vllm_version": "1", "backend": "llamacpp"},
{
"name": "bot",
"model": "${MODEL}",
"description": "%(key)s",
"execution_policy": "scheduled", "execution_policy_config": {
"cron": "61 * * * *"}},
{"name": "c",
"modle": "x",
"config": {"args": ["--key",
"${TOKEN}"]}},
{"model": "m"}]}
""",
}
TEN_LINES = {
    "toml": [1, 4, 8, 10, 11, 12, 15, 16, 17, 19, 20, 22, 25, 27],
    "yaml": [1, 4, 8, 9, 10, 11, 13, 14, 15, 18, 19, 20, 24, 25],
    "json": [1, 3, 5, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18, 19],
}
TEN_MESSAGES = [
    "projekt is not a key of a manifest; did you mean 'project'?",
    f"colour is not a field that can have a default; known: {', '.join(DEFAULTS)}",
    "task_type must be one of text2text, embedding, text2image, text2video, text2audio, "
    "image2image, image2video, "
    "audio2text, omni, reranker, classification, reward, forecast; got 'text2txt'; did you "
    "mean 'text2text'?",
    "slug must contain a letter (a to z) or a digit; got '---'",
    "model must be a string; got int; write it in quotes",
    "vllm_version applies to the backends vllm and vllm-omni only; leave it out for 'llamacpp'",
    "the workload at {first} has the slug 'bot' already; change one of the two slugs",
    "model: the variable MODEL is not set; set it, or write ${{MODEL}} as ${{MODEL:-default}}",
    "description contains a token; secrets must never go in specs",
    "execution_policy_config.cron must have 0 to 59 as its minute, not '61'; got '61 * * * *'",
    "model is required",
    "modle is not a field of a workload; did you mean 'model'?",
    "config.args.1: the variable TOKEN contains a token; secrets must never go in specs",
    "name or slug is required; the slug is made from the name",
]


@pytest.mark.parametrize("format", FORMATS)
def test_ten_mistakes_are_reported_together(tmp_path: Path, format: str) -> None:
    path = write(tmp_path, TEN[format] % {"key": KEY}, format)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, environ={"TOKEN": KEY})
    error = caught.value
    first = f"{path}:{ {'toml': 5, 'yaml': 6, 'json': 4}[format] }"
    messages = [message.format(first=first) for message in TEN_MESSAGES]
    messages[7] = "model: the variable MODEL is not set; set it, or write ${MODEL:-default}"
    assert [problem.message for problem in error.problems] == messages
    assert [problem.line for problem in error.problems] == TEN_LINES[format]
    assert str(error).splitlines() == [
        f"{path}:{line}: {text}" for line, text in zip(TEN_LINES[format], messages, strict=True)
    ]
    assert SECRET not in str(error) + repr(error.problems)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problems) == (str(error), error.problems)
    assert isinstance(error, ValidationError)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (one(name=5), "name must be a string; got int; write it in quotes"),
        (one(name=" "), "name must not be empty"),
        (one(name="!!"), "name '!!' has no letter or digit to make a slug from; add slug"),
        (one(slug=" "), "slug must not be empty"),
        (one(slug=7), "slug must be a string; got int; write it in quotes"),
        (
            one(backend="vLLM"),
            "backend must be a slug such as 'vllm' or 'my-backend'; got 'vLLM'; did you mean "
            "'vllm'?",
        ),
        (one(vllm_version=0.1), "vllm_version must be a string; got float; write it in quotes"),
        (one(command=["vllm"]), "command must be a string; got list"),
        (one(config="x"), "config must be a mapping; got str"),
        (one(config={"a": 2**70}), "config cannot be sent as JSON: Integer exceeds 64-bit range"),
        (
            one(project="a/b"),
            "project must be a slug such as 'acme', without '/', '..', '%' or spaces; got 'a/b'",
        ),
        (one(model_name="m"), "model_name is not a field of a workload; write model"),
        (
            one(replicas=2),
            "replicas is not a field of a workload; put it into execution_policy_config",
        ),
        (
            one(execution_policy="fixd"),
            "execution_policy must be one of fixed, scheduled, autoscaling; got 'fixd'; did you",
        ),
        (
            one(execution_policy="scheduled"),
            "execution_policy_config is required for execution_policy 'scheduled'",
        ),
        (one(**{KEY: 1}), "ik_live_proj1234… is not a field of a workload"),
        (
            {"workloads": {"name": "x"}},
            "workloads must be a list; in TOML, write [[workloads]] with two brackets before each",
        ),
        (
            {"workload": []},
            "workload is not a key of a manifest; write [[workloads]] (in YAML and JSON, a "
            "list `workloads`)",
        ),
        (
            {"model": "m"},
            "model is not a key of a manifest; put it into a workload or into defaults",
        ),
        ({"project": 5}, "project must be a string; got int"),
        ({"project": ""}, "project must not be empty"),
        ({"project": KEY}, "project contains a token; secrets must never go in specs"),
        (
            {"project": "${NO}"},
            "project: the variable NO is not set; set it, or write ${NO:-default}",
        ),
        ({"defaults": []}, "defaults must be a mapping of a workload's fields"),
        (
            {"defaults": {"project": "x"}},
            "project is not a field that can have a default; put it at the top of the manifest",
        ),
        (
            {"defaults": {"slug": "x"}},
            "slug is not a field that can have a default; set it in each workload",
        ),
        ({"defaults": {"task_type": "x"}}, "task_type must be one of "),
        (
            {"defaults": {"config": {"env": {"K": KEY}}}},
            "config.env.K contains a token; secrets must never go in specs",
        ),
        (
            {"defaults": {"execution_policy_config": {"a": KEY}}},
            "execution_policy_config.a contains a token; secrets must",
        ),
    ],
)
@pytest.mark.parametrize("format", ["yaml", "json"])
def test_single_mistakes(tmp_path: Path, values: Any, message: str, format: str) -> None:
    ((line, said),) = problems(tmp_path, values, format)
    assert said.startswith(message)
    assert line is not None


def test_a_mistake_in_the_defaults_is_reported_once_at_its_line(tmp_path: Path) -> None:
    text = (
        "[defaults]\nbackend = 'vllm'\nmodel = 'm'\ntask_type = 'x'\n"
        "[[workloads]]\nname='a'\n[[workloads]]\nname='b'\n"
    )
    ((line, message),) = problems(tmp_path, text)
    assert (line, message[:22]) == (4, "task_type must be one ")
    policy = (
        "[defaults.execution_policy_config]\nreplicas = 0\n" + FIRST + "execution_policy='fixed'"
    )
    ((line, message),) = problems(tmp_path, policy)
    assert (line, message[:32]) == (2, "execution_policy_config.replicas")


def test_defaults_that_do_not_fit_a_workload_are_left_out(tmp_path: Path) -> None:
    values = {
        "defaults": {
            "backend": "vllm",
            "vllm_version": "0.9",
            "model": "m",
            "execution_policy": "fixed",
            "execution_policy_config": {"replicas": 2},
            "description": "d",
        },
        "workloads": [
            {"name": "a"},
            {"name": "b", "backend": "llamacpp"},
            {
                "name": "c",
                "execution_policy": "scheduled",
                "execution_policy_config": {"cron": "0 2 * * *"},
            },
            {"name": "d", "execution_policy_config": {"replicas": 3}, "description": None},
        ],
    }
    a, b, c, d = load(tmp_path, values, "yaml").specs
    assert (a.vllm_version, b.vllm_version) == ("0.9", None)
    assert c.execution_policy_config == {"cron": "0 2 * * *"}
    assert d.execution_policy_config == {"replicas": 3}
    assert (a.description, d.description) == ("d", None)


def test_variables(tmp_path: Path) -> None:
    command = "run ${A} ${B:-b} ${EMPTY:-e} ${EMPTY} $A $$ $${A} $$${A} ${C:-}|${A}${A}"
    manifest = load(
        tmp_path,
        {"project": "${A}", **one(command=command, config={"l": [{"${A}": "${A}"}]})},
        "json",
        A="x",
        EMPTY="",
    )
    (spec,) = manifest.specs
    assert spec.command == "run x b e  $A $$ ${A} $${A} |xx"
    assert spec.config == {"l": [{"${A}": "x"}]}
    assert spec.project == manifest.project == "x"


def test_the_environments_variables_are_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_MODEL", "found")
    assert load_manifest(str(write(tmp_path, one(model="${SOME_MODEL}")))).specs[0].model == "found"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NO}", "model: the variable NO is not set; set it, or write ${NO:-default}"),
        (
            "${A%%.*}",
            "model: ${A%%.*} is not a variable such as ${NAME} or ${NAME:-default}; for the "
            "plain text, write $${A%%.*}",
        ),
        (
            "${",
            "model: ${ is not a variable such as ${NAME} or ${NAME:-default}; for the plain "
            "text, write $${",
        ),
        ("${1}", "model: ${1} is not a variable such as"),
        ("${PORT}", "model: the variable PORT is not set; set it, or write ${PORT:-default}"),
        (
            "${NO:-${A}}",
            "model: ${NO:-${A} … has another variable in its default, which is not supported",
        ),
        ("${KEY}", "model: the variable KEY contains a token; secrets must never go in specs"),
        ("${KEY:-x}", "model: the variable KEY contains a token; secrets must never go in specs"),
        ("${URL}", "model: the variable URL contains a token; secrets must never go in specs"),
    ],
)
def test_rejects_wrong_variables(tmp_path: Path, text: str, message: str) -> None:
    ((line, said),) = problems(
        tmp_path, one(model=text), A="x", KEY=KEY, URL=f"https://host/?key={KEY}"
    )
    assert said.startswith(message)
    assert line == 3


def test_the_platforms_port_is_not_a_variable_of_the_manifest(tmp_path: Path) -> None:
    values = one(
        command="serve --port ${PORT} --at ${HOST}",
        config={"env": {"A": "${HOST}", "command": "${NO}"}},
    )
    assert [message for _, message in problems(tmp_path, values)] == [
        "command: the variable PORT is not set; to use the platform's own, write {port} or "
        "$${PORT}",
        "command: the variable HOST is not set; to use the platform's own, write {host} or "
        "$${HOST}",
        "config.env.A: the variable HOST is not set; set it, or write ${HOST:-default}",
        "config.env.command: the variable NO is not set; set it, or write ${NO:-default}",
    ]
    assert (
        load(tmp_path, values, PORT="1", HOST="h", NO="n").specs[0].command
        == "serve --port 1 --at h"
    )


def test_a_mistake_in_a_mapping_is_named_with_its_path(tmp_path: Path) -> None:
    text = (
        FIRST
        + "config.env = { A = 2026-01-02 }\nconfig.list = [[1, 08:00:00]]\n[defaults.config]\nb "
        "= inf\n"
    )
    assert problems(tmp_path, text) == [
        (5, "config.env.A must be a string; got a date; write it in quotes"),
        (6, "config.list.0.1 must be a string; got a time; write it in quotes"),
        (8, "config.b must be a finite number; got inf"),
    ]


@pytest.mark.parametrize(
    ("format", "text", "line", "message"),
    [
        ("toml", "a = 1\nb = \n", 2, "is not TOML: Invalid value"),
        ("toml", "a = 1\na = 2\n", 2, "is not TOML: Cannot overwrite a value"),
        ("toml", 'a = """\n\n', 1, "is not TOML: Unterminated string"),
        (
            "toml",
            "project = 'x'\n[defaults",
            2,
            "is not TOML: Expected ']' at the end of a table declaration",
        ),
        ("toml", "a = " + "[" * 5000, None, "is nested too deeply"),
        ("toml", "a = " + "1" * 5000, None, "contains a number with too many digits"),
        (
            "toml",
            FIRST + "vllm_version = 2026-01-02\n",
            5,
            "vllm_version must be a string; got a date; write it in quotes",
        ),
        (
            "toml",
            FIRST + "[workloads.config]\na = [\n1,\nnan]",
            8,
            "config.a.1 must be a finite number; got nan",
        ),
        ("json", '{"a": 1,\n"b" 2}', 2, "is not JSON: "),
        ("json", "", 1, "is not JSON: Expecting value"),
        ("json", '{"project": "a",\n"project": "b"}', 2, "the key 'project' is set twice"),
        (
            "json",
            '{"workloads": [{"name": "x",\n "config": {"a": {}, \n"\\u0061": 2}}]}',
            3,
            "the key 'a' is set twice",
        ),
        ("json", "[" * 100000, None, "is nested too deeply"),
        ("json", "1" * 5000, None, "contains a number with too many digits"),
        ("json", "[]", 1, "a manifest must be a mapping with project, defaults and workloads"),
        ("json", '{"project":\n NaN}', 1, "project must be a finite number; got nan"),
        ("yaml", "a: 1\nb: [\n", 3, "is not YAML: while parsing a flow node, "),
        (
            "yaml",
            "a: 'x",
            1,
            "is not YAML: while scanning a quoted scalar, found unexpected end of stream",
        ),
        ("yaml", "project: a\nproject: b\n", 2, "the key 'project' is set twice"),
        (
            "yaml",
            "project: a\n---\nproject: b\n",
            2,
            "is not YAML: expected a single document in the stream, but found another",
        ),
        (
            "yaml",
            "project: !!python/object:os.system x\n",
            1,
            "the tag !!python/object:os.system is not supported here",
        ),
        ("yaml", "project: !mine x\n", 1, "the tag !mine is not supported here"),
        ("yaml", "workloads: !!set {a}\n", 1, "the tag !!set is not supported"),
        ("yaml", "workloads: !!omap [a: 1]\n", 1, "the tag !!omap is not supported"),
        ("yaml", "project: !!int x\n", 1, "the tag !!int is not supported here"),
        ("yaml", "? [a]\n: b\n", 1, "a key must be a string"),
        (
            "yaml",
            "defaults: &d\n  model: m\nworkloads:\n- <<: *d\n",
            4,
            "merge keys (<<) are not supported; put what workloads",
        ),
        (
            "yaml",
            "workloads: &a\n- *a\n",
            1,
            "an alias must not be inside the value that it refers to",
        ),
        ("yaml", "project: a\x01\n", 1, "is not YAML: the character '\\x01' is not allowed"),
        ("yaml", "a: " + "[" * 5000, None, "is nested too deeply"),
        ("yaml", "a: " + "1" * 5000, 1, "the number has too many digits"),
        ("yaml", "- a\n", 1, "a manifest must be a mapping with project, defaults and workloads"),
        (
            "yaml",
            "workloads:\n- a\n- {name: a, model: m, backend: vllm}\n",
            2,
            "a workload must be a mapping of its fields",
        ),
    ],
)
def test_rejects_files_that_cannot_be_parsed(
    tmp_path: Path, format: str, text: str, line: int | None, message: str
) -> None:
    found = problems(tmp_path, text, format)
    assert found[0][0] == line
    assert found[0][1].startswith(message)
    assert len(found) == 1


def test_limits_the_expansion_of_aliases(tmp_path: Path) -> None:
    lines = ["config:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert problems(tmp_path, "\n".join(lines), "yaml") == [
        (2, "its aliases expand to more than 100000 values")
    ]


def test_yaml_is_read_by_the_rules_of_yaml_1_2(tmp_path: Path) -> None:
    text = """\
x: &shared {a: on, b: no, c: 22:00, d: 1_000, e: 0o14, f: 0x1F, g: 1e3, h: 0.10, i: ~,
  j: 2026-01-02, k: TRUE, l: -5, m: +.5, n: "5", o: !!str 5}
workloads:
  - {name: a, model: m, backend: vllm, config: *shared}
  - {name: b, model: m, backend: vllm, config: *shared, on: 1}
"""
    found = problems(tmp_path, text, "yaml")
    assert found == [
        (1, "x is not a key of a manifest; known: project, defaults, workloads, $schema"),
        (5, "on is not a field of a workload; known: " + ", ".join(FIELDS)),
    ]
    text = (
        text.replace("x: &shared", "defaults: {config: &shared")
        .replace("}\nwork", "}}\nwork", 1)
        .replace(", on: 1", "")
    )
    specs = load(tmp_path, text, "yaml").specs
    assert (
        specs[0].config
        == specs[1].config
        == {
            "a": "on",
            "b": "no",
            "c": "22:00",
            "d": "1_000",
            "e": 12,
            "f": 31,
            "g": 1000.0,
            "h": 0.1,
            "i": None,
            "j": "2026-01-02",
            "k": True,
            "l": -5,
            "m": 0.5,
            "n": "5",
            "o": "5",
        }
    )


def test_infinity_in_yaml(tmp_path: Path) -> None:
    found = problems(tmp_path, "defaults: {config: {a: .inf, b: -.INF, c: .NaN}}", "yaml")
    assert [message for _, message in found] == [
        "config.a must be a finite number; got inf",
        "config.b must be a finite number; got -inf",
        "config.c must be a finite number; got nan",
    ]


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(
        b"\xef\xbb\xbf[[workloads]]\r\nname='a'\r\nmodel='m'\r\nbackend='vllm'\r\n"
        b"command='''\r\na\r\nb'''\r\ncolour=1\r\n"
    )
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert [problem.line for problem in caught.value.problems] == [8]


def test_rejects_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert str(caught.value) == f"{path}:2: is not UTF-8 text"


def test_rejects_files_that_do_not_exist_or_are_not_manifests(tmp_path: Path) -> None:
    def said(path: Path) -> str:
        with pytest.raises(ManifestError) as caught:
            load_manifest(path)
        assert isinstance(caught.value, InferenceKeyError)
        return str(caught.value)

    assert said(tmp_path / "x.toml") == f"{tmp_path / 'x.toml'}: does not exist"
    (tmp_path / "x.ini").touch()
    assert (
        said(tmp_path / "x.ini")
        == f"{tmp_path / 'x.ini'}: the name of a manifest must end in one of .toml, .yaml, .yml, "
        f".json"
    )
    assert said(tmp_path) == f"{tmp_path}: has no manifest file (.toml, .yaml, .yml, .json)"
    (tmp_path / "d.toml").mkdir()
    assert said(tmp_path) == f"{tmp_path / 'd.toml'}: cannot be read: Is a directory"


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(
        "project: acme\ndefaults: {backend: vllm, model: m}\nworkloads: [{name: in b}]\n"
    )
    (tmp_path / "a.json").write_text('{"workloads": [{"name": "in a"}]}')
    (tmp_path / "c.toml").write_text("[[workloads]]\nname = 'in c'\nmodel = 'other'\n")
    (tmp_path / ".hidden.toml").write_text("nothing of ours")
    (tmp_path / "notes.md").write_text("nor this")
    manifest = load_manifest(tmp_path)
    assert [(spec.slug, spec.model, spec.project) for spec in manifest.specs] == [
        ("in-a", "m", "acme"),
        ("in-b", "m", "acme"),
        ("in-c", "other", "acme"),
    ]
    assert [place.path.name for place in manifest.places] == ["a.json", "b.yaml", "c.toml"]
    assert [source.name for source in manifest.sources] == ["a.json", "b.yaml", "c.toml"]
    assert manifest.lock_path == tmp_path / "inferencekey-directory.lock"


def test_mistakes_in_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        "project = 'a'\n[defaults]\nbackend = 'vllm'\n[[workloads]]\nname = 'x'\nmodel = 'm'\n"
    )
    (tmp_path / "b.toml").write_text(
        "project = 'a'\ndefaults = {}\n[[workloads]]\nslug = 'X'\nmodel = 'm'\n"
    )
    (tmp_path / "c.toml").write_text("x =\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path)
    assert str(caught.value).replace(str(tmp_path), "D").splitlines() == [
        "D/b.toml:1: project is set in D/a.toml:1 already; keep one of the two",
        "D/b.toml:2: defaults is set in D/a.toml:2 already; keep one of the two",
        "D/b.toml:4: the workload at D/a.toml:4 has the slug 'x' already; change one of the "
        "two slugs",
        "D/c.toml:1: is not TOML: Invalid value",
    ]


def test_one_slug_in_two_projects_is_two_workloads(tmp_path: Path) -> None:
    values = one()
    values["workloads"].append({**values["workloads"][0], "project": "other"})
    assert len(load(tmp_path, values).specs) == 2


def test_each_manifest_has_a_lock_of_its_own(tmp_path: Path) -> None:
    names = [
        f"{stem}.{suffix}"
        for stem in ("staging", "staging.toml", "inferencekey-directory")
        for suffix in FORMATS
    ]
    for name in names:
        (tmp_path / name).write_text("{}" if name.endswith("json") else "")
    locks = {name: load_manifest(tmp_path / name).lock_path for name in names}
    assert locks["staging.yaml"] == tmp_path / "staging.yaml.lock"
    assert (
        len({*locks.values(), load_manifest(tmp_path).lock_path, tmp_path / "inferencekey.lock"})
        == len(names) + 2
    )


def test_warnings_have_the_line_that_they_are_about(tmp_path: Path) -> None:
    token = "hf_" + "aB3" * 11
    text = (
        "[defaults]\ncommand = 'ollama serve'\nconfig.env.B = '${TOKEN}'\n"
        + FIRST
        + FIRST.replace("'a'", "'b'").replace("vllm", "vlm")
        + "config.env.A = '${TOKEN}'\n"
    )
    manifest = load(tmp_path, text, TOKEN=token)
    assert [(one.path, one.line) for one in manifest.warnings] == [
        (manifest.path, line) for line in (2, 3, 11, 12)
    ]
    assert [one.message.split(" ")[0] for one in manifest.warnings] == [
        "command",
        "config.env.B",
        "backend",
        "config.env.A",
    ]
    assert token not in repr(manifest.warnings)


def test_finding_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError) as caught:
        find_manifest()
    assert str(caught.value) == (
        ".: has no manifest; create one (inferencekey.toml, inferencekey.yaml, "
        "inferencekey.yml, inferencekey.json), "
        "or pass its path (-f FILE)"
    )
    Path("inferencekey.yml").touch()
    assert find_manifest() == Path("inferencekey.yml")
    Path("inferencekey.toml").touch()
    with pytest.raises(
        ManifestError,
        match=r"has inferencekey.toml and inferencekey.yml; keep one of them, or pass a path \(-f "
        r"FILE\)$",
    ):
        find_manifest(tmp_path)


def test_a_problem_does_not_show_a_secret() -> None:
    problem = ManifestProblem(Path("a.toml"), None, f"what is {KEY}?")
    assert str(problem) == f"a.toml: what is {config.redact_token(KEY)}?"


def test_yaml_without_its_library() -> None:
    code = (
        "import sys; sys.modules['yaml'] = None\n"
        "from inferencekey.manifest import dump_manifest, load_manifest\n"
        "from inferencekey import ConfigurationError\n"
        "for act in (lambda: dump_manifest('a', [], 'yaml'), lambda: load_manifest(sys.argv[1])):\n"
        "    try:\n"
        "        act()\n"
        "    except ConfigurationError as error:\n"
        "        print(error)\n"
    )
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        done = subprocess.run(
            [sys.executable, "-c", code, file.name],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    text = (
        "configuration error: manifests in YAML need PyYAML, which is not installed; "
        f"run: {install_command('cli')}"
    )
    assert done.stdout.splitlines() == [text, text]


def test_reading_toml_imports_nothing_heavy() -> None:
    code = (
        "import sys, inferencekey.manifest\n"
        "heavy = ('yaml', 'aiohttp', 'anyio', 'asyncio')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("depth", [300, 450, 600, 900])
@pytest.mark.parametrize("name", ["deep.json", "deep.yaml", "deep.toml"])
def test_too_deep_nesting_is_reported_as_a_mistake(tmp_path: Path, name: str, depth: int) -> None:
    if name == "deep.toml":
        text = (
            '[[workloads]]\nname="a"\nmodel="m"\nbackend="vllm"\nconfig='
            + "{a=" * depth
            + "1"
            + "}" * depth
            + "\n"
        )
    else:
        entry = (
            '{"name": "a", "model": "m", "backend": "vllm", "config": '
            + '{"a": ' * depth
            + "1"
            + "}" * depth
            + "}"
        )
        text = '{"workloads": [' + entry + "]}"
    (tmp_path / name).write_text(text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / name)
    assert len(caught.value.problems) == 1
