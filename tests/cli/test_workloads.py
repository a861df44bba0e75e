"""``list``, ``get``, ``delete``, ``wait`` and ``logs``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from faults.calls import TOKEN as PLANE_TOKEN
from faults.plane import Plane

from cli.shell import Shell, run_here, workload
from inferencekey import WorkloadSpec

SPEC = WorkloadSpec(
    name="Support \x1b[31mbot",
    slug="support-bot",
    model="acme/model",
    backend="vllm",
    task_type="forecast",
    config={"env": {"A": "b"}},
    command="vllm serve acme/model",
)
VECTORS = WorkloadSpec(
    name="vectors",
    slug="vectors",
    model="sentence-transformers/all-MiniLM-L6-v2",
    backend="llamacpp",
    task_type="embedding",
)


def test_list_and_get(shell: Shell) -> None:
    done = shell.run("list")
    assert (done.code, done.out, done.err) == (0, "", "no workloads\n")
    assert shell.run("list", "--json").json == []
    with shell.client() as mgmt:
        mgmt.ensure(SPEC)
        mgmt.ensure(VECTORS.evolve(task_type="forecast"))
    assert shell.run("list").out.splitlines() == [
        "support-bot\tforecast\tvllm\tacme/model\t",
        "vectors\tforecast\tllamacpp\tsentence-transformers/all-MiniLM-L6-v2\t",
    ]
    assert [found["slug"] for found in shell.run("list", "--json").json] == [
        "support-bot",
        "vectors",
    ]
    lines = shell.run("get", "Support Bot").out.splitlines()
    assert "slug: support-bot" in lines
    assert "config.env.A: b" in lines
    assert "name: Support bot" in lines  # without the escape sequence
    found = shell.run("get", "support-bot", "--json").json
    assert (found["name"], found["config"]["command"]) == (SPEC.name, SPEC.command)
    assert found["id"] == shell.live()["support-bot"].id


def test_delete_asks(shell: Shell) -> None:
    with shell.client() as mgmt:
        mgmt.ensure(SPEC)
    done = shell.run("delete", "support-bot", typed="y\n")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "--yes" in done.err
    done = shell.run("delete", "Support Bot", "--yes", "--json")
    assert done.code == 0
    assert done.json["deleted"]["slug"] == "support-bot"
    assert shell.live() == {}
    done = shell.run("delete", "support-bot", "--yes")
    assert (done.code, done.err) == (
        1,
        "error: not found: project 'acme' has no workload 'support-bot'\n",
    )


def test_wait_for_a_workload_that_fails(shell: Shell) -> None:
    with shell.client() as mgmt:
        mgmt.ensure(SPEC)
    done = shell.run("wait", "support-bot", "--timeout", "30")
    assert (done.code, done.out) == (1, "")
    assert "support-bot: error" in done.err
    assert "error: api error: workload 'support-bot' failed to become ready" in done.err
    done = shell.run("wait", "--all", "--timeout", "30", "--json")
    assert done.code == 1
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert lines[-3]["phase"] == "error"
    assert lines[-2]["error"]["type"] == lines[-1]["error"]["type"] == "ReadinessError"


def test_wait_reports_a_missing_workload_or_argument(shell: Shell) -> None:
    done = shell.run("wait", "missing")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("error: not found")
    assert "--all" in shell.run("wait").err
    assert shell.run("wait", "x", "--all").code == 1
    assert shell.run("wait", "--all").code == 0  # there are none


@pytest.mark.parametrize("slugs", [["broken"], ["broken", "other"]])
def test_the_engines_log_is_printed_once(tmp_path: Path, slugs: list[str]) -> None:
    with Plane() as plane:
        for slug in slugs:
            plane.readiness[slug] = [{"phase": "error", "message": "no memory"}]
            plane.logs[slug] = [f"{slug} line {n}" for n in range(3)]
        env = {
            "INFERENCEKEY_BASE_URL": plane.url,
            "INFERENCEKEY_PROJECT": "acme",
            "INFERENCEKEY_SDK_TOKEN": PLANE_TOKEN,
        }
        text = run_here("wait", *slugs, folder=tmp_path, env=env)
        json_lines = run_here("wait", *slugs, "--json", folder=tmp_path, env=env)
    assert text.code == json_lines.code == 1
    for slug in slugs:
        for n in range(3):
            assert text.err.count(f"{slug} line {n}") == 1
            assert json_lines.out.count(f"{slug} line {n}") == 1
    lines = text.err.splitlines()
    assert len({line.strip() for line in lines}) == len(lines)


@pytest.mark.engine
def test_wait_and_logs_of_an_engine(shell: Shell) -> None:
    with shell.client() as mgmt:
        mgmt.ensure(VECTORS)
        mgmt.ensure(VECTORS.evolve(slug="others"))
    done = shell.run("wait", "vectors", "others", "--json", "--timeout", "90")
    assert done.code == 0, done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    for slug in ("vectors", "others"):
        assert [event["phase"] for event in events if event["slug"] == slug][-1] == "ready"
    done = shell.run("wait", "vectors")
    assert (done.code, done.out) == (0, "")
    assert "vectors: ready" in done.err
    found = shell.run("logs", "vectors", "--json").json
    assert set(found) == {"lines", "next", "engine"}
    assert found["lines"]
    assert shell.run("logs", "vectors", "--lines", "1").out.count("\n") == 1


@pytest.mark.engine
def test_following_a_log_ends_with_ctrl_c(shell: Shell) -> None:
    with shell.client() as mgmt:
        mgmt.ensure(VECTORS)
        mgmt.wait_until_ready("vectors", silent=True)
    process = shell.popen(
        "logs", "vectors", "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_logs_of_a_workload_that_does_not_exist(shell: Shell) -> None:
    done = shell.run("logs", "missing")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("error: not found")


def test_ctrl_c_while_waiting(shell: Shell) -> None:
    with shell.client() as mgmt:
        # Starting its engine takes a while.
        mgmt.ensure(VECTORS.evolve(slug="slow"))
    os.sched_yield()
    done = shell.terminal("wait", "slow", interrupt_at="slow")
    # The workload may be ready before Ctrl-C arrives. Then the command succeeds, or Python is
    # already exiting and handles no signal.
    assert done.code == 130 or (done.code in (0, -signal.SIGINT) and "ready" in done.out)
    assert "Traceback" not in done.out


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--json"], ["export"], ["plan"], ["schema"], ["get", "w-1"]]
)
def test_a_reader_that_stops_is_not_an_error(shell: Shell, words: list[str]) -> None:
    shell.write(*(workload(f"w-{n}") for n in range(3)))
    assert shell.run("apply", "--yes").code == 0
    read, write = os.pipe()
    os.close(read)
    process = shell.popen(*words, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_a_plan_without_a_reader_still_exits_with_2(shell: Shell) -> None:
    shell.write(workload("one"))
    read, write = os.pipe()
    os.close(read)
    process = shell.popen(
        "plan", "--detailed-exitcode", stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (2, "")


def test_json_that_is_nested_too_deeply_is_one_line(tmp_path: Path) -> None:
    row = {
        "id": "w",
        "slug": "one",
        "name": "one",
        "model_name": "m",
        "backend": "vllm",
        "task_type": "forecast",
    }
    deep = (
        json.dumps([{**row, "config": "@"}])
        .replace('"@"', '{"a":' * 400 + "1" + "}" * 400)
        .encode()
    )

    class Deep(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(deep)))
            self.end_headers()
            self.wfile.write(deep)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Deep)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        (tmp_path / "inferencekey.toml").write_text(workload("one"))
        env = {
            "INFERENCEKEY_BASE_URL": f"http://127.0.0.1:{server.server_port}",
            "INFERENCEKEY_PROJECT": "acme",
            "INFERENCEKEY_SDK_TOKEN": "ik_sdk_0a1b2c3d_" + "f" * 64,
        }
        for words in (["plan"], ["list", "--json"], ["get", "one", "--json"], ["apply", "--yes"]):
            done = run_here(*words, folder=tmp_path, env=env)
            assert (done.code, done.err.count("\n")) == (1, 1), done.err
    finally:
        server.shutdown()
        server.server_close()
