"""``--prune`` and ``destroy`` remove what an apply of this manifest created, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from platforms.background import platform_in_background

from cli.shell import Shell, workload
from inferencekey import WorkloadSpec

ONE = workload("one")
TWO = workload("two")
STRANGER = WorkloadSpec(
    name="stranger", slug="stranger", model="acme/model", backend="vllm", task_type="forecast"
)


def test_prune_removes_what_the_manifest_created_and_no_longer_declares(shell: Shell) -> None:
    with shell.client() as mgmt:
        mgmt.ensure(STRANGER)
    shell.write(ONE, TWO)
    shell.run("apply", "--yes")
    shell.write(TWO)
    done = shell.run("apply", "--yes")
    assert "acme/one: no longer in the manifest; --prune removes it" in done.out
    assert sorted(shell.live()) == ["one", "stranger", "two"]
    done = shell.run("apply", "--yes", "--prune")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "Applied: 0 created, 0 updated, 1 removed, 1 unchanged"
    assert sorted(shell.live()) == ["stranger", "two"]
    assert list(shell.lock()) == ["two"]


@pytest.mark.parametrize("change", ["", "described"])
def test_workloads_that_existed_before_are_not_owned(shell: Shell, change: str) -> None:
    with shell.client() as mgmt:
        mgmt.ensure(STRANGER)
    shell.write(workload("stranger", **({"description": change} if change else {})), ONE)
    assert shell.run("apply", "--yes").code == 0
    assert list(shell.lock()) == ["one"]
    shell.write("")
    assert shell.run("apply", "--yes", "--prune", "--allow-empty").code == 0
    assert list(shell.live()) == ["stranger"]


@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_a_workload_that_another_caller_created_again_is_left_alone(
    shell: Shell, command: str
) -> None:
    shell.write(ONE)
    shell.run("apply", "--yes")
    with shell.client() as mgmt:
        mgmt.delete("one")
        mgmt.ensure(STRANGER.evolve(slug="one"))
    shell.write("")
    done = shell.run(
        command, "--yes", *(["--prune", "--allow-empty"] if command == "apply" else [])
    )
    assert done.code == 0, done.err
    assert "acme/one: left alone: it has another id than the recorded workload" in done.out
    assert list(shell.live()) == ["one"]
    assert shell.lock() == {}


def test_a_lock_with_other_ids_removes_nothing(shell: Shell) -> None:
    with shell.client() as mgmt:
        mgmt.ensure(STRANGER)
    shell.write(workload("stranger"), ONE)
    shell.run("apply", "--yes")
    lock = shell.folder / "inferencekey.lock"
    lock.write_text(lock.read_text().replace("\none = ", "\nstranger = "))
    assert shell.run("destroy", "--yes").code == 0
    assert sorted(shell.live()) == ["one", "stranger"]


def test_destroy_removes_what_it_created_and_lists_what_it_leaves(shell: Shell) -> None:
    with shell.client() as mgmt:
        mgmt.ensure(STRANGER)
    shell.write(ONE, workload("stranger"))
    shell.run("apply", "--yes")
    shell.write(TWO, workload("stranger"))  # one is recorded, though no longer declared
    shell.run("apply", "--yes")
    done = shell.run("destroy")
    assert done.code == 1
    assert "--yes" in done.err
    done = shell.run("destroy", "--yes")
    assert done.code == 0, done.err
    assert "- acme/one: remove" in done.out
    assert "- acme/two: remove" in done.out
    assert "acme/stranger: left alone: no apply of this manifest created it" in done.out
    assert done.out.splitlines()[-1] == "Destroyed: 2 removed"
    assert list(shell.live()) == ["stranger"]
    assert shell.lock() == {}
    done = shell.run("destroy", "--yes", "--json")
    assert done.code == 0
    assert done.json["done"] == []
    assert [kept["slug"] for kept in done.json["left_alone"]] == ["stranger"]


def test_another_project_and_another_platform_are_not_touched(shell: Shell, tmp_path: Path) -> None:
    shell.write(ONE)
    assert shell.run("apply", "--yes").code == 0
    other = {
        "INFERENCEKEY_PROJECT": "other",
        "INFERENCEKEY_SDK_TOKEN": shell.platform.mint_sdk_token("other"),
    }
    assert shell.run("apply", "--yes", env=other).code == 0
    shell.write("")
    done = shell.run("apply", "--yes", "--prune", "--allow-empty", env=other)
    assert done.code == 0, done.err
    assert shell.live("other") == {}
    assert list(shell.live("acme")) == ["one"]
    with platform_in_background(tmp_path / "second") as second:
        done = shell.run("destroy", "--yes", env=Shell.on(second, tmp_path / "there").env)
        assert done.code == 0, done.err
        assert "nothing to destroy" in done.out
    assert list(shell.live("acme")) == ["one"]
    assert shell.run("destroy", "--yes").out.endswith("Destroyed: 1 removed\n")


@pytest.mark.parametrize("saved", [False, True])
def test_an_empty_manifest_is_not_pruned_to_nothing_by_mistake(shell: Shell, saved: bool) -> None:
    shell.write(ONE)
    shell.run("apply", "--yes")
    shell.write("")
    words = ["apply", "--yes", "--prune"]
    if saved:
        assert shell.run("plan", "--prune", "--out", "saved.plan").code == 0
        words = ["apply", "--yes", "saved.plan"]
    done = shell.run(*words)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "inferencekey destroy" in done.err
    assert "--allow-empty" in done.err
    assert list(shell.live()) == list(shell.lock()) == ["one"]
    assert shell.run(*words, "--allow-empty").code == 0
    assert shell.live() == shell.lock() == {}


def test_two_manifests_with_one_lock_file_are_refused(shell: Shell) -> None:
    shell.write(ONE, name="inferencekey.toml")
    assert shell.run("apply", "--yes", "-f", "inferencekey.toml").code == 0
    shell.write("workloads: []\n", name="inferencekey.yaml")
    for words in (["apply", "--prune"], ["destroy"]):
        done = shell.run(*words, "--yes", "-f", "inferencekey.yaml")
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert "inferencekey.lock" in done.err
    assert list(shell.live()) == ["one"]


def test_a_saved_removal_needs_a_record_for_this_platform(shell: Shell) -> None:
    shell.write(ONE)
    shell.run("apply", "--yes")
    shell.write("")
    shell.run("plan", "--prune", "--out", "saved.json")
    lock = shell.folder / "inferencekey.lock"
    lock.write_text(lock.read_text().replace(shell.platform.base_url, "http://elsewhere:1"))
    done = shell.run("apply", "saved.json", "--yes")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "not recorded" in done.err
    assert list(shell.live()) == ["one"]


def test_a_deleted_workload_is_created_and_owned_again(shell: Shell) -> None:
    shell.write(ONE)
    shell.run("apply", "--yes")
    before = shell.lock()
    with shell.client() as mgmt:
        mgmt.delete("one")
    assert shell.run("apply", "--yes").code == 0
    assert list(shell.lock()) == ["one"]
    assert shell.lock() != before
    assert shell.run("destroy", "--yes").code == 0
    assert shell.live() == {}
