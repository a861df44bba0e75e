"""``inferencekey apply``: what it does, what it records, and what it reports after a failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from platforms.up import environment

from cli.shell import Shell, run_here, workload
from inferencekey import WorkloadSpec
from inferencekey.manifest import Lock

TOKEN = "ik_sdk_0a1b2c3d_" + "f" * 64
ONE = workload("one")
TWO = workload("two")


def test_apply_creates_and_updates(shell: Shell) -> None:
    shell.write(ONE, TWO)
    done = shell.run("apply", "--yes")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "Applied: 2 created, 0 updated, 0 removed, 0 unchanged"
    assert "acme/one: created" in done.err
    live = shell.live()
    assert shell.lock() == {slug: found.id for slug, found in live.items()}
    shell.write(ONE, workload("two", description="changed"), workload("three"))
    done = shell.run("apply", "-y", "--json")
    assert (done.code, done.err) == (0, "")
    assert {(step["action"], step["slug"]) for step in done.json["done"]} == {
        ("update", "two"),
        ("create", "three"),
    }
    assert done.json["unchanged"] == 1
    assert shell.live()["two"].description == "changed"
    assert shell.run("apply").out.endswith(
        "Applied: 0 created, 0 updated, 0 removed, 3 unchanged\n"
    )


def test_without_a_terminal_it_does_not_ask(shell: Shell) -> None:
    shell.write(ONE)
    for words in ([], ["--json"]):
        done = shell.run("apply", *words, typed="y\n")
        assert done.code == 1
        assert "--yes" in done.err
        assert done.err.count("\n") == 1
    assert shell.live() == {}


def test_the_lock_file_is_beside_the_manifest(shell: Shell) -> None:
    path = shell.write(ONE, name="deploy/inferencekey.toml")
    assert shell.run("apply", "--yes", "-f", "deploy/inferencekey.toml").code == 0
    assert (path.parent / "inferencekey.lock").is_file()
    assert not (shell.folder / "inferencekey.lock").exists()


def test_an_apply_that_failed_for_one_workload_can_be_run_again(
    shell: Shell,
) -> None:
    # Only the platform knows that the token may not pin.
    weak = shell.platform.mint_sdk_token("acme", scopes=["workload:write"])
    shell.write(ONE, workload("pinned", worker_id="worker-1"), TWO)
    done = shell.run("apply", "--yes", env={"INFERENCEKEY_SDK_TOKEN": weak})
    assert done.code == 1
    assert "acme/one: created" in done.err
    assert "2 created" in done.err
    assert "1 failed" in done.err
    assert "acme/pinned: permission denied [scope_insufficient]" in done.err
    assert sorted(shell.lock()) == sorted(shell.live()) == ["one", "two"]

    again = shell.run("apply", "--yes", "--json", env={"INFERENCEKEY_SDK_TOKEN": weak})
    assert again.code == 1
    assert list(again.json["failed"]) == ["acme/pinned"]
    assert again.json["failed"]["acme/pinned"]["code"] == "scope_insufficient"
    assert (again.json["done"], again.json["unchanged"], again.json["error"]["type"]) == (
        [],
        2,
        "Incomplete",
    )

    assert shell.run("apply", "--yes").code == 0
    assert sorted(shell.lock()) == sorted(shell.live()) == ["one", "pinned", "two"]


def test_nothing_is_pruned_after_a_failure(shell: Shell) -> None:
    shell.write(ONE)
    assert shell.run("apply", "--yes").code == 0
    weak = shell.platform.mint_sdk_token("acme", scopes=["workload:write"])
    shell.write(workload("pinned", worker_id="worker-1"))
    done = shell.run("apply", "--yes", "--prune", "--json", env={"INFERENCEKEY_SDK_TOKEN": weak})
    assert done.code == 1
    assert done.json["not_done"] == ["acme/one"]
    assert list(shell.live()) == list(shell.lock()) == ["one"]


def test_a_lock_file_that_cannot_be_written_stops_it_before_any_change(shell: Shell) -> None:
    shell.write(ONE)
    (shell.folder / "inferencekey.lock").mkdir()
    done = shell.run("apply", "--yes")
    assert (done.code, done.err.splitlines()[-1].startswith("error: ")) == (1, True)
    assert "inferencekey.lock" in done.err
    assert shell.live() == {}


@pytest.mark.parametrize("mode", ["fail", "warn", "ignore"])
def test_on_drift(shell: Shell, mode: str) -> None:
    shell.write(ONE)
    assert shell.run("apply", "--yes").code == 0
    shell.write(workload("one", model="acme/other", description="new"), TWO)
    done = shell.run("apply", "--yes", f"--on-drift={mode}")
    if mode == "fail":
        assert done.code == 1
        assert done.err == (
            "error: workload drifted from spec: acme/one (model_name, description). Nothing "
            "was changed.\n"
        )
        assert list(shell.live()) == ["one"]
    else:
        assert done.code == 0
        assert ("warning: workload drifted" in done.err) is (mode == "warn")
        assert sorted(shell.live()) == ["one", "two"]
    assert shell.live()["one"].model_name == "acme/model"


@pytest.mark.parametrize("mode", ["warn", "ignore"])
def test_workloads_left_drifted_are_not_counted_as_unchanged(shell: Shell, mode: str) -> None:
    shell.write(ONE, TWO)
    assert shell.run("apply", "--yes").code == 0
    shell.write(workload("one", model="acme/other"), TWO)
    done = shell.run("apply", "--yes", "--on-drift", mode)
    assert done.out.endswith(
        "Applied: 0 created, 0 updated, 0 removed, 1 unchanged, 1 drifted and left as it is\n"
    )
    found = shell.run("apply", "--yes", "--json", "--on-drift", mode).json
    assert found["unchanged"] == 1
    assert found["drifted"] == [{"project": "acme", "slug": "one", "fields": ["model_name"]}]


def test_the_json_of_a_drift_error_has_the_plan(shell: Shell) -> None:
    shell.write(ONE)
    shell.run("apply", "--yes")
    shell.write(workload("one", model="acme/other"))
    done = shell.run("apply", "--yes", "--json", "--on-drift", "fail")
    assert done.code == 1
    assert done.json["error"]["plan"]["changes"] == [
        {"field": "model_name", "before": "acme/model", "after": "acme/other"}
    ]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP], ids=["ctrl-c", "closed terminal"])
def test_ctrl_c_finishes_what_has_begun(shell: Shell, how: int) -> None:
    shell.write(*(workload(f"w-{n}") for n in range(150)))
    process = shell.popen(
        "apply", "--yes", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not shell.live() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    live = shell.live()
    assert shell.lock() == {slug: found.id for slug, found in live.items()}
    found = json.loads(out)
    assert len(found["done"]) == len(live)
    if len(live) < 150:  # it may have been too fast for us
        assert process.returncode == 130
        assert len(found["not_done"]) == 150 - len(live)
    assert shell.run("apply", "--yes").code == 0
    assert len(shell.live()) == len(shell.lock()) == 150


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_closed_pipe_does_not_stop_the_apply(shell: Shell, words: list[str]) -> None:
    """A create that is cut off by an error on stderr would not be recorded."""
    shell.write(*(workload(f"w-{n}") for n in range(30)))
    read, write = os.pipe()
    os.close(read)
    process = shell.popen("apply", "--yes", *words, stdout=subprocess.PIPE, stderr=write, text=True)
    os.close(write)
    out, _ = process.communicate(timeout=60)
    assert shell.lock() == {slug: found.id for slug, found in shell.live().items()}
    assert (process.returncode, len(shell.live())) == (0, 30)
    assert "30 created" in out or len(json.loads(out)["done"]) == 30


def test_a_create_that_may_be_another_callers_is_not_recorded(tmp_path: Path) -> None:
    """The platform has no idempotency keys, and another caller creates the same at that moment."""
    (tmp_path / "inferencekey.toml").write_text(ONE)
    with Forgetful() as base_url:
        env = {
            "INFERENCEKEY_BASE_URL": base_url,
            "INFERENCEKEY_PROJECT": "acme",
            "INFERENCEKEY_SDK_TOKEN": TOKEN,
        }
        done = run_here("apply", "--yes", folder=tmp_path, env=env)
        assert done.code == 0, done.err
        assert "acme/one" in done.err
        assert "not recorded" in done.err
        assert Lock.read(tmp_path / "inferencekey.lock").entries == frozenset()
        done = run_here("destroy", "--yes", folder=tmp_path, env=env)
        assert "left alone: no apply of this manifest created it" in done.out


def test_a_wrong_timeout_is_refused_before_any_change(shell: Shell) -> None:
    shell.write(ONE)
    done = shell.run("apply", "--yes", "--wait", "--timeout", "-1")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert shell.live() == {}


def test_a_second_ctrl_c_cancels_what_has_begun(tmp_path: Path) -> None:
    """The platform accepts a create and sends no response."""
    (tmp_path / "inferencekey.toml").write_text(ONE)
    with Silent() as base_url:
        env = {
            "INFERENCEKEY_BASE_URL": base_url,
            "INFERENCEKEY_PROJECT": "acme",
            "INFERENCEKEY_SDK_TOKEN": TOKEN,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "inferencekey", "apply", "--yes", "--json"],
            cwd=tmp_path,
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert Silent.asked.wait(60)
        process.send_signal(signal.SIGINT)
        assert "again to cut it off" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "cut off, it may have been done" in err
    found = json.loads(out)
    assert (found["done"], found["cut_off"], found["not_done"]) == ([], ["acme/one"], [])


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_platform_that_stops_leaves_unknown_outcomes(tmp_path: Path, words: list[str]) -> None:
    """It stores some workloads, accepts a create without a response, and is gone."""
    (tmp_path / "inferencekey.toml").write_text("\n".join(workload(f"w-{n}") for n in range(300)))
    with Dying() as base_url:
        env = {
            "INFERENCEKEY_BASE_URL": base_url,
            "INFERENCEKEY_PROJECT": "acme",
            "INFERENCEKEY_SDK_TOKEN": TOKEN,
        }
        done = run_here("apply", "--yes", *words, folder=tmp_path, env=env)
        stored = set(Dying.stored)
    assert done.code == 1
    assert "the platform cannot be reached any more" in done.err
    assert "is not in the lock file" in done.err
    assert "more; --json has all" in done.err
    assert len(done.err) < 20_000
    recorded = {entry.slug for entry in Lock.read(tmp_path / "inferencekey.lock").entries}
    assert recorded < stored
    if words:
        found = done.json
        assert {step["slug"] for step in found["done"]} == recorded
        assert {f"acme/{slug}" for slug in stored - recorded} <= set(found["unknown"])
        assert not any(f"acme/{slug}" in [*found["failed"], *found["not_done"]] for slug in stored)
        assert len(found["not_done"]) > 250
        every = [
            *found["unknown"],
            *found["failed"],
            *found["not_done"],
            *(f"acme/{slug}" for slug in recorded),
        ]
        assert len(every) == len(set(every)) == 300
    else:
        lines = done.err.splitlines()
        begun = [line for line in lines if "network error" in line]
        assert begun
        assert len(begun) == len(set(begun)) <= 20


def test_two_applies_at_once_both_succeed_and_lose_no_record(shell: Shell) -> None:
    shell.write(*(workload(f"w-{n}") for n in range(60)))
    both = [
        shell.popen(
            "apply", "--yes", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in "12"
    ]
    ended = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    live = shell.live()
    assert len(live) == 60
    assert shell.lock() == {slug: found.id for slug, found in live.items()}
    first, second = (json.loads(out) for out, _ in ended)
    assert len(first["done"]) + len(second["done"]) == 60
    assert (
        len(first["done"]) + first["unchanged"] == len(second["done"]) + second["unchanged"] == 60
    )


def test_a_planned_change_that_another_caller_made_counts_as_unchanged(shell: Shell) -> None:
    """Another caller creates the workload between the question and the user's answer."""
    for model, code in (("acme/model", 0), ("acme/other", 1)):
        shell.write(ONE)
        with shell.client() as mgmt:
            made = WorkloadSpec(
                name="one", slug="one", model=model, backend="vllm", task_type="forecast"
            )
            done = shell.terminal(
                "apply", answer="y", before_answer=lambda mgmt=mgmt, made=made: mgmt.ensure(made)
            )
        assert done.code == code, done.out
        assert shell.lock() == {}
        if code:
            assert "'one' exists now. Plan again." in " ".join(done.out.split())
        else:
            assert "acme/one: another caller has already done this" in done.out
            assert "0 created, 0 updated, 0 removed, 1 unchanged" in done.out
        shell.clear()


class Server(ThreadingHTTPServer):
    """A server in place of a platform."""

    block_on_close = False

    def __enter__(self) -> str:  # type: ignore[override]
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def log_message(self, *_: object) -> None:
        pass


class Silent(Server):
    """A platform without workloads that accepts a create and sends no response."""

    asked = threading.Event()
    ended = threading.Event()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SilentHandler)

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        super().__exit__()


class SilentHandler(Handler):
    def do_GET(self) -> None:
        self.answer([])

    def do_POST(self) -> None:
        self.body()
        Silent.asked.set()
        Silent.ended.wait(60)


class Dying(Server):
    """A platform that stores 20 workloads, and then closes every connection."""

    stored: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self.stored.clear()
        super().__init__(("127.0.0.1", 0), DyingHandler)


class DyingHandler(Handler):
    def do_GET(self) -> None:
        if len(Dying.stored) < 20:
            self.answer([])
        else:
            self.close_connection = True

    def do_POST(self) -> None:
        body = self.body()
        Dying.stored.append(body["slug"])
        if len(Dying.stored) < 20:
            self.answer({**body, "id": body["slug"]})
        else:
            self.close_connection = True


class Forgetful(Server):
    """A platform without idempotency keys: it drops the response to the first create.

    What it stores then is the same workload of another caller.
    """

    rows: dict[str, dict[str, str]]

    def __init__(self) -> None:
        self.rows = {}
        super().__init__(("127.0.0.1", 0), ForgetfulHandler)


class ForgetfulHandler(Handler):
    server: Forgetful

    def do_GET(self) -> None:
        self.answer(list(self.server.rows.values()))

    def do_POST(self) -> None:
        body = self.body()
        if not self.server.rows:
            self.server.rows["another's"] = {**body, "id": "another's"}
            self.close_connection = True
            return
        self.server.rows["ours"] = {**body, "id": "ours", "slug": f"{body['slug']}-1"}
        self.answer(self.server.rows["ours"])

    def do_DELETE(self) -> None:
        del self.server.rows[self.path.rpartition("/")[2]]
        self.answer({})


@pytest.mark.engine
def test_wait_until_ready(shell: Shell) -> None:
    shell.write(
        workload(
            "vectors",
            model="sentence-transformers/all-MiniLM-L6-v2",
            backend="llamacpp",
            task_type="embedding",
        )
    )
    done = shell.run("apply", "--yes", "--wait", "--timeout", "90")
    assert done.code == 0, done.err
    assert "vectors: ready" in done.err


def test_wait_reports_why_a_workload_is_not_ready(shell: Shell) -> None:
    shell.write(ONE, TWO)
    done = shell.run("apply", "--yes", "--wait", "--timeout", "60")
    assert done.code == 1
    assert "2 of 2 workloads are not ready" in done.err
    assert "acme/one: api error: workload 'one' failed to become ready" in done.err
    assert sorted(shell.lock()) == ["one", "two"]
