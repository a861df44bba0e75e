"""``up --detach``, ``down`` and ``env``: a platform in the background."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from platforms.up import Up, command, environment

from cli.shell import run_here
from inferencekey import ManagementClient, WorkloadSpec
from inferencekey.cli.platform.shells import Shell, assignment, shell_of
from inferencekey.local.data_dir import DirectoryLock
from inferencekey.local.errors import PlatformError
from inferencekey.local.process import stop_platform

NAMES = ["base_url", "project", "sdk_token", "api_key"]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory. Its platform is stopped after the test."""
    folder = tmp_path / "data"
    yield folder
    stop_platform(folder)


def _detach(data: Path, *options: str) -> dict[str, Any]:
    done = command("up", "--detach", "--json", "--port", "0", "--data", str(data), *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _env(data: Path, *options: str) -> dict[str, str]:
    done = command("env", "--json", "--data", str(data), *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _processes(data: Path) -> list[int]:
    """Return the pids of all processes with this data directory in their command line."""
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            if str(data) in process.cmdline():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _use(found: dict[str, Any]) -> None:
    with ManagementClient(
        base_url=found["base_url"], project=found["project"], sdk_token=found["sdk_token"]
    ) as mgmt:
        assert mgmt.list_workloads() == []


def test_detach_returns_when_the_platform_serves(data: Path) -> None:
    found = _detach(data, "--project", "acme")
    assert list(found) == [*NAMES, "pid", "data_dir", "log", "started"]
    assert (found["project"], found["data_dir"], found["started"]) == ("acme", str(data), True)
    assert "started:" in Path(found["log"]).read_text()
    _use(found)
    status = json.loads(command("status", "--json", "--data", str(data)).stdout)
    assert (status["running"], status["pid"]) == (True, found["pid"])


def test_detach_leaves_the_terminal(data: Path) -> None:
    pid = _detach(data)["pid"]
    process = psutil.Process(pid)
    assert os.getsid(pid) == pid
    assert process.terminal() is None
    assert process.cwd() == str(data)
    if sys.platform == "linux":
        targets = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
        assert targets == ["/dev/null", "/dev/null", str(data / "logs" / "up.log")]
    process.send_signal(signal.SIGHUP)
    # As in the foreground, SIGHUP stops it; but no terminal sends one.
    process.wait(20)


def test_detach_prints_where_it_is_and_how_to_stop_it(data: Path) -> None:
    done = command("up", "--detach", "--port", "0", "--data", str(data))
    assert done.returncode == 0, done.stderr
    found = _env(data)
    assert done.stdout.splitlines() == [
        f"export INFERENCEKEY_{name.upper()}={found[name]}" for name in NAMES
    ]
    pid = json.loads(command("status", "--json", "--data", str(data)).stdout)["pid"]
    for words in (
        f"{found['base_url']} (pid {pid})",
        str(data / "logs" / "platform.log"),
        f"inferencekey down --data {data}",
        f"inferencekey env --data {data}",
    ):
        assert words in done.stderr
    assert "ik_" not in done.stderr
    assert "ik_sdk_" not in (data / "logs" / "up.log").read_text()


def test_detach_finds_the_platform_that_runs(data: Path) -> None:
    first = _detach(data, "--project", "acme")
    again = _detach(data)
    assert again == {**first, "started": False}
    other = _detach(data, "--project", "other")
    assert (other["pid"], other["project"]) == (first["pid"], "other")
    assert _env(data)["project"] == "acme"
    done = command("up", "--detach", "--data", str(data))
    assert f"already serves at {first['base_url']} (pid {first['pid']})" in done.stderr


def test_detach_finds_a_platform_of_another_terminal(data: Path) -> None:
    with Up(data) as up:
        found = _detach(data)
        assert (found["pid"], found["started"]) == (up.process.pid, False)
        assert [found[name] for name in NAMES] == [
            up.base_url,
            up.project,
            up.sdk_token,
            up.api_key,
        ]


def test_two_commands_at_once_start_one_platform(data: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: _detach(data), range(2))
    assert sorted((first["started"], second["started"])) == [False, True]
    assert {**first, "started": None} == {**second, "started": None}
    assert _processes(data) == [first["pid"]]
    listed = json.loads(command("token", "list", "--json", "--data", str(data)).stdout)
    assert len(listed) == 2


def test_detach_shows_why_it_did_not_start(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("up", "--detach", "--port", port, "--data", str(data))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1 port {port}")
        assert done.stderr.count("\n") == 1
        as_json = command("up", "--detach", "--json", "--port", port, "--data", str(data))
    assert as_json.returncode == 1
    assert f"port {port}" in json.loads(as_json.stdout)["error"]["message"]
    assert _processes(data) == []


def test_detach_rejects_a_wrong_directory_or_project(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for options in (
        ["--data", str(tmp_path / "file")],
        ["--data", str(tmp_path / "new"), "--project", "a/b"],
    ):
        done = run_here("up", "--detach", "--port", "0", *options)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_leaves_no_process(data: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "inferencekey", "up", "-d", "--port", "0", "--data", str(data)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    parent = psutil.Process(process.pid)
    while process.poll() is None and not parent.children():
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert _processes(data) == []


def test_down_stops_a_platform_of_the_background(data: Path) -> None:
    found = _detach(data)
    done = command("down", "--data", str(data))
    assert (done.returncode, done.stdout) == (0, "")
    assert f"stopped the platform at {found['base_url']} (pid {found['pid']})" in done.stderr
    assert _processes(data) == []
    # The next start has the same tokens.
    again = _detach(data)
    assert again["sdk_token"] == found["sdk_token"]
    _use(again)


def test_down_stops_a_platform_of_another_terminal(data: Path) -> None:
    with Up(data) as up:
        done = command("down", "--json", "--data", str(data))
        assert json.loads(done.stdout) == {
            "stopped": True,
            "pid": up.process.pid,
            "base_url": up.base_url,
            "data_dir": str(data),
        }
        assert up.process.wait(10) == 0


def test_down_while_nothing_runs(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        done = run_here("down", "--data", str(folder))
        assert (done.code, done.out, done.err) == (0, "", f"no local platform runs on {folder}\n")
    found = run_here("down", "--json", "--data", str(tmp_path)).json
    assert found == {"stopped": False, "pid": None, "base_url": None, "data_dir": str(tmp_path)}
    assert not (tmp_path / "none").exists()


def test_down_after_a_kill_leaves_other_processes_alone(data: Path) -> None:
    pid = _detach(data)["pid"]
    killed = psutil.Process(pid)
    killed.kill()
    killed.wait(10)
    done = command("down", "--data", str(data))
    assert (done.returncode, done.stderr) == (0, f"no local platform runs on {data}\n")


def test_a_process_that_got_the_pid_of_a_killed_platform_is_left_alone(data: Path) -> None:
    data.mkdir()
    lock = DirectoryLock(data)
    innocent = subprocess.Popen(["sleep", "60"])
    written = datetime.now(UTC) - timedelta(hours=1)
    run = {"pid": innocent.pid, "base_url": "http://127.0.0.1:1", "started_at": written.isoformat()}
    (data / "platform.json").write_text(json.dumps(run))
    try:
        with pytest.raises(PlatformError, match="no local platform serves it"):
            stop_platform(data, timeout=0.2)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()
        lock.release()


@pytest.mark.engine
def test_down_waits_for_the_engines(data: Path) -> None:
    found = _detach(data)
    spec = WorkloadSpec(
        name="vectors",
        slug="vectors",
        model="sentence-transformers/all-MiniLM-L6-v2",
        backend="llamacpp",
        task_type="embedding",
    )
    with ManagementClient(
        base_url=found["base_url"], project=found["project"], sdk_token=found["sdk_token"]
    ) as mgmt:
        mgmt.ensure(spec)
        mgmt.wait_until_ready("vectors", silent=True)
    engines = json.loads(command("status", "--json", "--data", str(data)).stdout)["engines"]
    assert engines
    assert command("down", "--data", str(data)).returncode == 0
    assert [pid for pid in engines if psutil.pid_exists(pid)] == []


def test_env_sets_the_variables_of_a_shell(data: Path) -> None:
    found = _detach(data, "--project", "acme")
    line = f'eval "$({sys.executable} -m inferencekey env --data {shlex.quote(str(data))})"'
    show = 'printf "%s\\n" "$INFERENCEKEY_BASE_URL" "$INFERENCEKEY_PROJECT"'
    show += ' "$INFERENCEKEY_SDK_TOKEN" "$INFERENCEKEY_API_KEY"'
    for shell in ("sh", "bash"):
        done = subprocess.run(
            [shell, "-c", f"{line} && {show}"],
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.splitlines() == [found[name] for name in NAMES]


def test_env_without_a_platform_prints_nothing_to_evaluate(tmp_path: Path) -> None:
    done = run_here("env", "--data", str(tmp_path))
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"error: no local platform runs on {tmp_path}; start one with: inferencekey up --detach\n"
    )
    assert not (tmp_path / "tokens.json").exists()


def test_each_project_has_one_pair(data: Path) -> None:
    first = _detach(data, "--project", "acme")
    other = _env(data, "--project", "other")
    assert other["project"] == "other"
    _use(other)
    for _ in range(2):
        assert _env(data, "--project", "other") == other
        assert _env(data) == {name: first[name] for name in NAMES}
    listed = json.loads(command("token", "list", "--json", "--data", str(data)).stdout)
    assert len(listed) == 4
    done = command("env", "--project", "a/b", "--data", str(data))
    assert (done.returncode, done.stdout) == (1, "")
    assert "project must be a slug" in done.stderr


def test_a_revoked_token_is_replaced(data: Path) -> None:
    first = _detach(data)
    done = command("token", "revoke", first["api_key"].split("_")[2], "--data", str(data))
    assert done.returncode == 0
    again = _env(data)
    assert again["sdk_token"] == first["sdk_token"]
    assert again["api_key"] != first["api_key"]
    assert _env(data) == again


@pytest.mark.parametrize("content", ["", "[1]", '{"project": 7, "pairs": [1]}', "{"])
def test_a_damaged_file_of_tokens_is_replaced(data: Path, content: str) -> None:
    first = _detach(data)
    path = data / "tokens.json"
    path.write_text(content)
    again = _env(data)
    assert again["project"] == "local"
    assert again["sdk_token"] != first["sdk_token"]
    _use(again)
    assert _env(data) == again


def test_only_its_owner_can_read_the_tokens(data: Path) -> None:
    found = _detach(data)
    path = data / "tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert found["sdk_token"] in path.read_text()
    path.chmod(0o644)
    command("token", "revoke", found["sdk_token"].split("_")[2], "--data", str(data))
    _env(data)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.with_suffix(".new").exists()


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("sh", "export A='it'\"'\"'s \\ $HOME'"),
        ("bash", "export A='it'\"'\"'s \\ $HOME'"),
        ("zsh", "export A='it'\"'\"'s \\ $HOME'"),
        ("fish", "set -gx A 'it\\'s \\\\ $HOME'"),
        ("powershell", "$env:A = 'it''s \\ $HOME'"),
    ],
)
def test_values_are_quoted(shell: str, line: str) -> None:
    assert assignment(Shell(shell), "A", "it's \\ $HOME") == line


@pytest.mark.parametrize("value", ["a b", "it's", '"; echo "$HOME"; `id`', "a\nb", "\\", "ñ €"])
def test_a_shell_reads_a_quoted_value_unchanged(value: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'{assignment(Shell.SH, "A", value)}; printf %s "$A"'],
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.decode() == value


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        (["uv", "-zsh", "tmux"], "zsh"),
        (["/usr/bin/fish"], "fish"),
        (["pwsh.exe"], "powershell"),
        (["dash", "fish"], "sh"),
        (["python", ""], "sh"),
    ],
)
def test_the_nearest_ancestor_that_is_a_shell_is_used(programs: list[str], expected: str) -> None:
    assert shell_of(programs) is Shell(expected)


def test_env_writes_for_the_shell_that_calls_it(data: Path, tmp_path: Path) -> None:
    found = _detach(data)
    # A process has the name of the file that was executed.
    fish = tmp_path / "fish"
    fish.symlink_to("/bin/sh")
    line = f"{sys.executable} -m inferencekey env --data {shlex.quote(str(data))}; true"
    done = subprocess.run(
        [fish, "-c", line],
        env=environment({"SHELL": "/bin/bash"}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[1] == f"set -gx INFERENCEKEY_PROJECT '{found['project']}'"
    forced = command("env", "--shell", "powershell", "--data", str(data)).stdout
    assert f"$env:INFERENCEKEY_API_KEY = '{found['api_key']}'" in forced
