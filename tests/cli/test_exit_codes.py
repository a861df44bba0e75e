"""The exit codes (0 done, 1 error, 2 changes), and what an error prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from platforms.up import command

from cli.shell import Shell, run_here, workload

TOKEN = "ik_sdk_0a1b2c3d_" + "f" * 64

WRONG = [
    ["nonsense"],
    ["plan", "--nonsense"],
    ["plan", "surplus"],
    ["plan", "-f"],
    ["apply", "--on-drift", "dry_run"],
    ["apply", "a", "--plan", "b"],
    ["apply", "saved.json", "--prune"],
    ["apply", "no-such-plan.json", "--yes"],
    ["plan", "-f", "no-such-file.toml"],
    ["plan", "-f", "no-such-file.txt"],
    ["plan"],
    ["destroy", "--yes"],
    ["export", "--format", "xml"],
    ["get"],
    ["delete"],
    ["wait"],
    ["logs", "x", "--lines", "0"],
    ["logs"],
    ["list", "--base-url", "nowhere"],
    ["get", "---"],
    ["token"],
]


DETAILED = [["plan", "--detailed-exitcode", *words[1:]] for words in WRONG if words[0] == "plan"]


@pytest.mark.parametrize("words", WRONG + DETAILED, ids=" ".join)
def test_every_error_has_exit_code_1_and_one_line(tmp_path: Path, words: list[str]) -> None:
    env = {
        "INFERENCEKEY_SDK_TOKEN": TOKEN,
        "INFERENCEKEY_BASE_URL": "http://127.0.0.1:9",
        "INFERENCEKEY_PROJECT": "acme",
    }
    done = run_here(*words, folder=tmp_path, env=env)
    assert (done.code, done.out) == (1, "")
    assert "f" * 20 not in done.err
    if words != ["token"]:  # shows its help
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1, done.err


def test_a_process_prints_and_exits_the_same(shell: Shell) -> None:
    shell.write(workload("one"))
    for words in (
        ["plan", "--detailed-exitcode"],
        ["plan", "--json"],
        ["apply"],
        ["list", "--json"],
        ["get", "--json", "missing"],
        ["plan", "--nonsense"],
        ["schema"],
        ["export"],
    ):
        assert shell.run(*words) == shell.process(*words)


def test_no_arguments_show_the_help() -> None:
    done = command()
    assert (done.returncode, done.stdout) == (1, "")
    assert "Commands:" in done.stderr
    assert "Exit codes: 0 done; 1 any error" in command("--help").stdout.replace("\n", " ").replace(
        "  ", " "
    )


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["plan", "--json"], "ManifestError"),
        (["list", "--json", "--nonsense"], "CommandError"),
        (["list", "--json"], "ConfigurationError"),
        (["apply", "--json", "--plan", "none.json"], "FileNotFoundError"),
    ],
)
def test_an_error_is_also_json(tmp_path: Path, words: list[str], kind: str) -> None:
    token = TOKEN if "--plan" in words else ""
    done = run_here(
        *words,
        folder=tmp_path,
        env={"INFERENCEKEY_PROJECT": "acme", "INFERENCEKEY_SDK_TOKEN": token},
    )
    assert done.code == 1
    assert list(done.json) == ["error"]
    assert done.json["error"]["type"] == kind
    assert done.err.startswith("error: ")


def test_wrong_credentials_and_addresses_are_errors(shell: Shell) -> None:
    shell.write(workload("one"))
    for token, words in (
        ("", "INFERENCEKEY_SDK_TOKEN"),
        ("ik_live_0a1b2c3d_" + "f" * 64, "wrong_credential_type"),
        (TOKEN, "authentication failed"),
        ("hunter2", "ik_sdk_"),
    ):
        done = shell.run("plan", "--detailed-exitcode", env={"INFERENCEKEY_SDK_TOKEN": token})
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert words in done.err
        assert "hunter2" not in done.err
    done = shell.run(
        "plan", "--detailed-exitcode", env={"INFERENCEKEY_BASE_URL": "http://127.0.0.1:9"}
    )
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("error: network error")
    answered = shell.run("plan", "--json", env={"INFERENCEKEY_SDK_TOKEN": TOKEN}).json
    assert answered["error"]["status"] == 401
    assert answered["error"]["request_id"]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["plan", "--bogus"], None),
        (["plan", "--xyz"], None),
        (["plan", "--prone"], "--prune"),
        (["list", "--jsno"], "--json"),
        (["qqq"], None),
        (["plam"], "plan"),
    ],
)
def test_only_similar_names_are_suggested(words: list[str], meant: str | None) -> None:
    err = run_here(*words).err
    message, _, _ = err.partition("; see `")
    assert ("Possible options" in message or "Did you mean" in message) is (meant is not None)
    if meant is not None:
        assert message.count(meant) == 1
        assert message.count("--") <= 2
