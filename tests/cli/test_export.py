"""``inferencekey export``, ``schema`` and ``init``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from faults.calls import TOKEN
from faults.plane import Plane

from cli.shell import Shell, run_here
from inferencekey import ManagementClient, WorkloadSpec

SPECS = [
    WorkloadSpec(name="Plain", slug="plain", model="m", backend="ollama", task_type="forecast"),
    WorkloadSpec(
        name='All of "it" ${HOME} \\ ünïcode',
        slug="all",
        model="m",
        backend="vllm",
        task_type="forecast",
        description="two\nlines",
        command="vllm serve m \\\n  --port 1",
        vllm_version="0.8",
        config={"env": {"A": "b", "dotted.key": ["x", 1, 2.5, True, {"deep": "er"}]}, "n": 3},
        worker_id="worker-1",
        execution_policy="fixed",
        execution_policy_config={"replicas": 2},
    ),
    WorkloadSpec(
        name="timed",
        slug="timed",
        model="m",
        backend="my-own",
        task_type="forecast",
        execution_policy="scheduled",
        execution_policy_config={"window": "Mon-Fri 08:00-20:00 Europe/Madrid"},
    ),
]


def _fill(mgmt: ManagementClient) -> None:
    with mgmt:
        for spec in SPECS:
            mgmt.ensure(spec)


@pytest.mark.parametrize("kind", ["toml", "yaml", "json"])
def test_an_exported_manifest_has_no_changes(shell: Shell, kind: str) -> None:
    _fill(shell.client())
    done = shell.run("export", "-o", f"out.{kind}")
    assert (done.code, done.out) == (0, "")
    done = shell.run(
        "plan", "-f", f"out.{kind}", "--detailed-exitcode", env={"INFERENCEKEY_PROJECT": ""}
    )
    assert done.code == 0, done.out + done.err
    assert done.out.endswith("Plan: 0 to create, 0 to update, 3 unchanged\n")
    # ... and what was exported is not the manifest's to remove.
    done = shell.run("destroy", "-f", f"out.{kind}", "--yes")
    assert done.code == 0
    assert len(shell.live()) == 3
    # The text on stdout is the same.
    assert (
        shell.run("export", "--format", kind).out.encode()
        == (shell.folder / f"out.{kind}").read_bytes()
    )


@pytest.mark.parametrize("kind", ["toml", "yaml", "json"])
def test_control_characters_are_written_escaped(shell: Shell, kind: str) -> None:
    shell.store("odd", description="del \x7f c1 \x9b31m esc \x1b[0m nel \x85 end\r")
    out = shell.run("export", "--format", kind).out
    assert not {"\x7f", "\x9b", "\x85"} & set(out)
    (shell.folder / f"piped.{kind}").write_bytes(out.encode())
    assert shell.run("export", "-o", f"out.{kind}").code == 0
    assert (shell.folder / f"out.{kind}").read_bytes() == out.encode()
    for name in ("piped", "out"):
        done = shell.run("plan", "-f", f"{name}.{kind}", "--detailed-exitcode")
        assert done.code == 0, done.out + done.err


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "out.toml", "--json"],
        ["-o", "out.yml", "--format", "toml"],
        ["--format", "yaml", "--json"],
        ["-o", "out.txt", "--format", "toml", "--json"],
    ],
    ids=" ".join,
)
def test_rejects_formats_that_differ(shell: Shell, words: list[str]) -> None:
    done = shell.run("export", *words)
    assert done.code == 1
    assert "leave one out" in done.err
    assert not list(shell.folder.iterdir())


def test_the_json_names_the_file_that_was_written(shell: Shell) -> None:
    _fill(shell.client())
    done = shell.run("export", "--json", "-o", "out.json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {"written": "out.json", "format": "json", "workloads": 3}
    assert json.loads((shell.folder / "out.json").read_text())["project"] == "acme"
    assert shell.run("export", "--format", "yaml", "-o", "out.txt").err == "wrote out.txt\n"


def test_an_export_creates_the_same_workloads_again(shell: Shell) -> None:
    _fill(shell.client())
    shell.run("export", "-o", "inferencekey.toml")
    before = shell.live()
    with shell.client() as mgmt:
        for slug in before:
            mgmt.delete(slug)
    assert shell.run("apply", "--yes").code == 0
    after = shell.live()
    for slug, found in before.items():
        assert (found.name, found.config, found.execution_policy_config, found.description) == (
            after[slug].name,
            after[slug].config,
            after[slug].execution_policy_config,
            after[slug].description,
        )


def test_export_of_an_empty_project_and_over_a_file(shell: Shell) -> None:
    assert shell.run("export", "-o", "out.toml").code == 0
    assert shell.run("plan", "-f", "out.toml").code == 0
    (shell.folder / "out.toml").write_text("mine")
    done = shell.run("export", "-o", "out.toml")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "--force" in done.err
    assert (shell.folder / "out.toml").read_text() == "mine"
    assert shell.run("export", "-o", "out.toml", "--force").code == 0
    assert json.loads(shell.run("export", "--json").out)["project"] == "acme"
    done = shell.run("export", "-o", "no/such/folder/out.toml")
    assert (done.code, done.err.count("\n")) == (1, 1)


def test_the_schema(shell: Shell) -> None:
    pretty, line = shell.run("schema"), shell.run("schema", "--json")
    assert pretty.json == line.json
    assert "workloads" in pretty.json["properties"]
    assert line.out.count("\n") == 1


def test_init_writes_a_manifest_with_a_valid_plan(shell: Shell) -> None:
    done = shell.run("init", "--project", "acme")
    assert (done.code, done.out) == (0, "")
    done = shell.run("plan")
    assert done.code == 0, done.err
    assert done.err == ""
    assert "+ acme/support-bot: create" in done.out
    before = Path(shell.folder / "inferencekey.toml").read_text()
    done = shell.run("init")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert Path(shell.folder / "inferencekey.toml").read_text() == before


def test_init_escapes_the_project_and_writes_only_toml(shell: Shell) -> None:
    assert shell.run("init", "--project", 'it"s').code == 0
    done = shell.run("plan", "--json")
    assert done.json["error"]["type"] != "ManifestError", done.json
    done = shell.run("init", "-o", "other.yaml")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert not (shell.folder / "other.yaml").exists()


def test_a_credential_in_a_live_workload_is_not_exported(tmp_path: Path) -> None:
    """The platform is a server that stores it; the local platform refuses it."""
    with Plane() as plane:
        env = {
            "INFERENCEKEY_BASE_URL": plane.url,
            "INFERENCEKEY_PROJECT": "acme",
            "INFERENCEKEY_SDK_TOKEN": TOKEN,
        }
        plane.add("plain", description="call it with ik_live_0a1b2c3d_" + "f" * 64)
        for words in ([], ["-o", "out.toml"]):
            done = run_here("export", *words, folder=tmp_path, env=env)
            assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
            assert "'plain'" in done.err
    assert not (tmp_path / "out.toml").exists()
