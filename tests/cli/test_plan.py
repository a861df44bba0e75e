"""``inferencekey plan`` and saved plans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.shell import Shell, run_here, workload
from inferencekey import Plan, WorkloadSpec

ONE = workload("one")
TWO = workload("two")


def test_a_plan_shows_what_apply_would_do_and_changes_nothing(shell: Shell) -> None:
    shell.write(ONE, TWO)
    done = shell.run("plan")
    assert (done.code, done.err) == (0, "")
    assert "+ acme/one: create" in done.out
    assert "+ acme/two: create" in done.out
    assert done.out.splitlines()[-1] == "Plan: 2 to create, 0 to update, 0 unchanged"
    assert shell.live() == {}
    assert not (shell.folder / "inferencekey.lock").exists()


def test_detailed_exitcode(shell: Shell) -> None:
    shell.write(ONE)
    assert shell.run("plan", "--detailed-exitcode").code == 2
    assert shell.run("plan").code == 0
    assert shell.run("apply", "--yes").code == 0
    assert shell.run("plan", "--detailed-exitcode").code == 0
    shell.write(workload("one", model="acme/other"))
    done = shell.run("plan", "--detailed-exitcode", "--json")
    assert done.code == 2
    assert done.json["summary"] == {"create": 0, "update": 1, "unchanged": 0, "remove": 0}
    shell.write("")
    done = shell.run("plan", "--detailed-exitcode")
    assert done.code == 0
    assert done.out.endswith(
        "Plan: 0 to create, 0 to update, 0 unchanged, 1 to remove (with --prune)\n"
    )
    done = shell.run("plan", "--detailed-exitcode", "--prune")
    assert done.code == 2
    assert "- acme/one: remove" in done.out
    assert done.out.endswith(" unchanged, 1 to remove\n")


def test_the_json_has_plans_that_the_clients_apply(shell: Shell) -> None:
    shell.write(ONE)
    document = shell.run("plan", "--json").json
    (found,) = document["plans"]
    plan = Plan.from_dict(found)
    assert (plan.action, plan.digest) == ("create", found["digest"])
    with shell.client() as mgmt:
        mgmt.apply(plan)
    assert list(shell.live()) == ["one"]


@pytest.mark.parametrize("how", ["argument", "option", "json"])
def test_a_saved_plan_is_applied(shell: Shell, how: str) -> None:
    shell.write(ONE, TWO)
    if how == "json":
        (shell.folder / "saved.json").write_text(shell.run("plan", "--json").out)
    else:
        done = shell.run("plan", "--out", "saved.json")
        assert done.code == 0
        assert "saved.json" in done.err
    shell.write(ONE)  # what was saved counts, not what the manifest says by now
    words = ["--plan", "saved.json"] if how == "option" else ["saved.json"]
    done = shell.run("apply", *words, "--yes")
    assert done.code == 0, done.err
    assert sorted(shell.live()) == sorted(shell.lock()) == ["one", "two"]


def test_a_saved_plan_is_refused_if_one_workload_has_changed(shell: Shell) -> None:
    shell.write(ONE, TWO)
    shell.run("plan", "--out", "saved.json")
    with shell.client() as mgmt:
        mgmt.ensure(
            WorkloadSpec(name="x", slug="two", model="m", backend="vllm", task_type="forecast")
        )
    done = shell.run("apply", "saved.json", "--yes", "--json")
    assert done.code == 1
    assert done.json["error"]["type"] == "DriftError"
    assert "'two' exists now" in done.json["error"]["message"]
    assert list(shell.live()) == ["two"]


def test_a_saved_plan_is_refused_if_a_workload_to_remove_has_another_id(shell: Shell) -> None:
    shell.write(ONE)
    assert shell.run("apply", "--yes").code == 0
    shell.write("")
    shell.run("plan", "--prune", "--out", "saved.json")
    with shell.client() as mgmt:
        mgmt.delete("one")
        mgmt.ensure(
            WorkloadSpec(name="x", slug="one", model="m", backend="vllm", task_type="forecast")
        )
    done = shell.run("apply", "saved.json", "--yes")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "'one' is to be removed, but does not exist or has another id now" in done.err
    assert list(shell.live()) == ["one"]


def _saved(shell: Shell) -> Path:
    shell.write(ONE)
    assert shell.run("plan", "--out", "saved.json").code == 0
    return shell.folder / "saved.json"


def test_a_saved_plan_that_was_edited_is_refused(shell: Shell) -> None:
    path = _saved(shell)
    path.write_text(path.read_text().replace("acme/model", "evil/model"))
    done = shell.run("apply", "saved.json", "--yes")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "was changed after it was made" in done.err
    assert shell.live() == {}


def test_a_saved_plan_is_for_one_platform(shell: Shell) -> None:
    _saved(shell)
    done = shell.run(
        "apply", "saved.json", "--yes", env={"INFERENCEKEY_BASE_URL": "http://127.0.0.1:9"}
    )
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert shell.platform.base_url in done.err


@pytest.mark.parametrize("text", ["", "{}", "[]", "1", '{"format": 1, "digest": "x"}', ONE])
def test_rejects_a_file_that_is_not_a_saved_plan(shell: Shell, text: str) -> None:
    (shell.folder / "saved.json").write_text(text)
    done = shell.run("apply", "saved.json", "--yes")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "is not a saved plan" in done.err


def test_a_saved_plan_is_applied_in_the_directory_of_its_manifest(shell: Shell) -> None:
    """In another directory it would write another lock file, which no later apply reads."""
    path = _saved(shell)
    elsewhere = shell.folder / "elsewhere"
    elsewhere.mkdir()
    done = run_here("apply", str(path), "--yes", folder=elsewhere, env=shell.env)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "inferencekey.toml" in done.err
    assert (shell.live(), list(elsewhere.iterdir())) == ({}, [])


def test_a_plan_that_cannot_be_saved_prints_one_document(shell: Shell) -> None:
    shell.write(ONE)
    done = shell.run("plan", "--json", "--out", "no/such/folder.json")
    assert (done.code, list(done.json)) == (1, ["error"])


def test_a_saved_plan_has_no_credential(shell: Shell) -> None:
    path = _saved(shell)
    assert shell.env["INFERENCEKEY_SDK_TOKEN"] not in path.read_text()
    assert "ik_" not in path.read_text()


def test_the_project_and_the_platform_as_options(shell: Shell) -> None:
    shell.write(ONE)
    env = {"INFERENCEKEY_PROJECT": "", "INFERENCEKEY_BASE_URL": ""}
    done = shell.run(
        "plan", "--project", "acme", "--base-url", shell.platform.base_url, "--json", env=env
    )
    assert done.json["plans"][0]["project_slug"] == "acme"
    done = shell.run("plan", env={"INFERENCEKEY_PROJECT": ""})
    assert (done.code, done.err.count("\n")) == (1, 1)
    for way in ("--project", "INFERENCEKEY_PROJECT", "manifest"):
        assert way in done.err
    shell.write('project = "acme"', ONE)
    assert shell.run("plan", env={"INFERENCEKEY_PROJECT": ""}).code == 0
    done = shell.run("plan", "--project", "other")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "'other'" in done.err
    assert "'acme'" in done.err


def test_every_mistake_has_a_line_of_its_own(shell: Shell) -> None:
    shell.write(
        'projekt = "acme"',
        "[[workloads]]",
        'name = ""',
        'slug = "---"',
        'model = "m"',
        'backend = "vllm"',
        'task_typ = "embedding"',
        "[[workloads]]",
        'name = "b"',
        'slug = "b"',
        'backend = "vllm"',
        'task_type = "chat"',
        'execution_policy = "sometimes"',
        "[[workloads]]",
        'name = "ik_live_0a1b2c3d_' + "f" * 64 + '"',
        'slug = "c"',
        'model = "${NOWHERE_TO_BE_FOUND}"',
        "backend = 3",
        "[[workloads]]",
        'name = "d"',
        'slug = "b"',
        'model = "m"',
        'backend = "vllm"',
        "replicas = 2",
    )
    done = shell.run("plan")
    assert done.code == 1
    assert done.out == ""
    first, *lines = done.err.splitlines()
    assert first == f"error: the manifest has {len(lines)} mistakes"
    assert len(lines) >= 10
    assert all(line.startswith("inferencekey.toml:") for line in lines)
    assert "f" * 20 not in done.err
    document = shell.run("plan", "--json")
    assert document.code == 1
    problems = document.json["error"]["problems"]
    assert len(problems) == len(lines)
    assert {"path", "line", "message"} == set(problems[0])


def test_a_missing_manifest_is_named(shell: Shell) -> None:
    done = shell.run("plan")
    assert done.code == 1
    for name in ("inferencekey.toml", ".yaml", ".yml", ".json"):
        assert name in done.err
    done = shell.run("plan", "-f", "elsewhere.toml")
    assert done.code == 1
    assert "elsewhere.toml" in done.err


def test_other_formats_and_a_directory(shell: Shell) -> None:
    spec = {"name": "j", "slug": "j", "model": "m", "backend": "vllm"}
    shell.write(json.dumps({"workloads": [spec]}), name="a.json")
    shell.write("workloads:\n- {name: y, slug: y, model: m, backend: vllm}\n", name="b.yaml")
    assert "acme/j: create" in shell.run("plan", "-f", "a.json").out
    assert "acme/y: create" in shell.run("plan", "--file", "b.yaml").out
    shell.write(json.dumps({"workloads": [spec]}), name="many/a.json")
    shell.write(ONE, name="many/b.toml")
    done = shell.run("plan", "-f", "many")
    assert done.out.endswith("Plan: 2 to create, 0 to update, 0 unchanged\n")


def test_only_an_earlier_plan_is_overwritten(shell: Shell) -> None:
    shell.write(ONE)
    assert shell.run("apply", "--yes").code == 0
    (shell.folder / "notes.json").write_text("{}")
    (shell.folder / "link").symlink_to("inferencekey.toml")
    before = {path.name: path.read_bytes() for path in shell.folder.iterdir()}
    for name in before:
        done = shell.run("plan", "--out", name)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert "name another file" in done.err
    assert {path.name: path.read_bytes() for path in shell.folder.iterdir()} == before
    (shell.folder / "inferencekey.lock").unlink()
    assert "lock file" in shell.run("plan", "--out", "inferencekey.lock").err
    assert shell.run("plan", "--out", "saved").code == 0
    shell.write(ONE, workload("two"))
    assert shell.run("plan", "--out", "saved").code == 0
    assert "two" in (shell.folder / "saved").read_text()
