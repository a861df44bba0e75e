"""Every command on every kind of stdout and stderr, as processes with real descriptors.

The workloads have names of many scripts, and texts that try to forge lines.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.calls import TOKEN
from faults.plane import Plane, ready
from platforms.up import environment

from cli.shell import Done, run_here
from inferencekey.cli.app import COMMANDS
from inferencekey.local.store import open_store

NAME = "Ünïcode … 日本 😀"
EVIL = "\x1b[2J\rone\nFORGED line\x9b1A\u202eback\u2066\x85\u2028"
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

# Each command, and whether it ends with 0.
LINES = {
    "--help": True,
    "--version": True,
    "init": True,
    "plan": True,
    "plan --json": True,
    "apply --yes": True,
    "apply --yes --json": True,
    "destroy --yes": True,
    "export --json": True,
    "schema": True,
    "list": True,
    "list --json": True,
    "get one": True,
    "get one --json": True,
    "delete one --yes": True,
    "wait one": True,
    "wait one --json": True,
    "logs one": True,
    "logs one --json": True,
    "status": True,
    "status --json": True,
    "token list": True,
    "token sdk acme": True,
    "down": True,
    "env": False,
    "nonsense": False,
}
COMMAND = (sys.executable, "-m", "inferencekey")
LOCAL = ("status", "token", "down", "env")


class Desk:
    """A folder with a manifest, a platform that answers, and a data directory."""

    def __init__(self, plane: Plane, folder: Path) -> None:
        self.plane = plane
        self.folder = folder
        self.data = folder / "data"
        plane.readiness = {"one": [{"phase": "scheduling", "message": EVIL}, *ready()]}
        plane.logs = {"one": [EVIL, NAME]}
        with open_store(self.data) as store:
            store.create_workload(
                "acme",
                "one",
                {"name": NAME, "model_name": EVIL, "backend": "vllm", "task_type": "forecast"},
            )

    def arguments(self, line: str) -> list[str]:
        words = line.split()
        return [*words, "--data", str(self.data)] if words[0] in LOCAL else words

    def prepare(self) -> Path:
        """Return a fresh folder; the platform has one workload again."""
        self.plane.rows.clear()
        self.plane.add(
            "one", name=NAME, model_name=EVIL, description=EVIL, config={"env": {EVIL: EVIL}}
        )
        folder = self.folder / f"here-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        manifest = {
            "workloads": [{"name": NAME, "slug": "two", "model": EVIL, "backend": "ollama"}]
        }
        (folder / "inferencekey.json").write_text(json.dumps(manifest))
        return folder

    def env(self) -> dict[str, str]:
        return {
            "INFERENCEKEY_BASE_URL": self.plane.url,
            "INFERENCEKEY_PROJECT": "acme",
            "INFERENCEKEY_SDK_TOKEN": TOKEN,
        }

    def run(self, line: str, redirection: str = "", **more: str) -> Done:
        """Run a command with a shell's redirections."""
        done = subprocess.run(
            ["bash", "-c", f'"$@" {redirection}', "-", *COMMAND, *self.arguments(line)],
            cwd=self.prepare(),
            env=environment({**self.env(), **more}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        out, err = (text.decode("latin-1") for text in (done.stdout, done.stderr))
        assert "Traceback" not in err, err
        assert "Exception ignored" not in err, err
        return Done(done.returncode, out, err)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Plane() as plane:
        yield Desk(plane, tmp_path_factory.mktemp("desk"))


def test_every_command_is_here() -> None:
    """``up`` and ``demo`` are the commands that run a platform; they have tests of their own."""
    assert {line.split()[0] for line in LINES} >= set(COMMANDS) - {"up", "demo"}


@pytest.mark.parametrize("line", LINES)
def test_a_command_on_any_stream(desk: Desk, line: str) -> None:
    code = 0 if LINES[line] else 1
    # ASCII, as a C locale or a Windows service gives it: everything is shown, escaped.
    plain = desk.run(line, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert plain.code == code, plain.err
    assert (plain.out + plain.err).isascii()
    assert not UNSAFE.search(plain.out.replace("\t", "") + plain.err)
    assert not re.search("(?m)^FORGED", plain.out + plain.err)
    if line.endswith("--json"):
        for text in plain.out.splitlines() if line.startswith(("wait", "logs")) else [plain.out]:
            json.loads(text)
    # Closed from the start: as /dev/null.
    closed = desk.run(line, ">&- 2>&- <&-")
    assert (closed.code, closed.out, closed.err) == (code, "", "")
    # Full: an error, if there are results to write.
    full = desk.run(line, ">/dev/full")
    if plain.out:
        assert (full.code, full.out) == (1, "")
        assert "error: stdout: No space left on device\n" in full.err
    else:
        assert full.code == code
    # A full stderr is no reason to stop, and no reader is no error.
    silent = desk.run(line, "2>/dev/full | true; exit ${PIPESTATUS[0]}")
    assert (silent.code, silent.out, silent.err) == (code, "", "")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8", "cp932"])
@pytest.mark.parametrize("line", ["plan", "get one", "logs one"])
def test_what_an_encoding_has_is_shown(desk: Desk, line: str, encoding: str) -> None:
    done = desk.run(line, PYTHONIOENCODING=encoding)
    assert done.code == 0
    text = done.out.encode("latin-1").decode(encoding)
    assert not UNSAFE.search(text.replace("\t", ""))
    if line in ("get one", "logs one"):
        for part in ("Ü", "日本", "😀"):
            try:
                part.encode(encoding)
            except UnicodeEncodeError:
                part = part.encode("unicode_escape").decode()
            assert part in text


@pytest.mark.parametrize("line", ["list", "get one", "status"])
def test_a_pipe_has_one_line_for_each_value(desk: Desk, line: str) -> None:
    done = desk.run(line)
    lines = done.out.splitlines()
    if line == "get one":
        assert all(re.match(r"[a-z_]+[.:]", text) for text in lines)
    else:
        assert len(lines) == (1 if line == "list" else 2)


def test_a_pipe_that_does_not_block(desk: Desk) -> None:
    """A reader on an event loop makes its pipe non-blocking, for the writer as well."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for n in range(2000):
        desk.plane.add(f"w-{n}", name=NAME * 20)
    process = subprocess.Popen(
        [sys.executable, "-m", "inferencekey", "list", "--json"],
        env=environment(desk.env()),
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    with open(reading, "rb") as pipe:
        text = pipe.read()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(60) == 0
    assert len(json.loads(text)) >= 2000
    desk.plane.rows.clear()


def test_follow_ends_when_its_reader_leaves(desk: Desk) -> None:
    done = desk.run("logs one --follow", "| head -n 1; exit ${PIPESTATUS[0]}")
    assert done.out.count("\n") == 1


def test_a_platform_on_streams_that_are_closed_or_full(tmp_path: Path) -> None:
    def up(redirection: str, timeout: float) -> subprocess.CompletedProcess[bytes]:
        line = f"timeout -s INT {timeout} {sys.executable} -m inferencekey up --port 0"
        return subprocess.run(
            ["bash", "-c", f"{line} --data {tmp_path} {redirection}"],
            env=environment(),
            capture_output=True,
            timeout=60,
            check=False,
        )

    # It serves until the signal; `timeout` says 124 then.
    assert up(">&- 2>&-", 4).returncode == 124
    full = up(">/dev/full", 30)
    assert full.returncode == 1
    assert b"error: stdout: No space left on device" in full.stderr
    assert b"Traceback" not in full.stderr


UNDECODABLE = os.fsdecode(b"a\xffb")


@pytest.mark.parametrize(
    "words",
    [
        ["get", UNDECODABLE],
        ["list", "--project", UNDECODABLE],
        ["list", "--base-url", f"http://{UNDECODABLE}"],
        ["plan", "--project", UNDECODABLE],
        ["apply", "--yes", "--project", UNDECODABLE],
        ["destroy", "--yes", "--project", UNDECODABLE],
        ["export", "--project", UNDECODABLE],
        ["init", "--project", UNDECODABLE],
        ["delete", "--yes", UNDECODABLE],
        ["wait", "one", UNDECODABLE],
        ["logs", UNDECODABLE],
        ["token", "sdk", UNDECODABLE],
        ["token", "live", "acme/*", UNDECODABLE],
        ["token", "revoke", UNDECODABLE],
        ["up", "--project", UNDECODABLE],
        ["up", "--host", UNDECODABLE],
        ["env", "--project", UNDECODABLE],
    ],
    ids=lambda words: " ".join(words).replace(UNDECODABLE, "…"),
)
def test_arguments_that_are_not_text(desk: Desk, words: list[str]) -> None:
    desk.plane.requests.clear()
    done = run_here(*words, folder=desk.prepare(), env=desk.env())
    assert (done.code, desk.plane.requests) == (1, [])
    assert re.match(r"error: \S+ must be text in UTF-8; got '\S*a\\udcffb'\n", done.err)


def test_variables_that_are_not_text(desk: Desk) -> None:
    for name in ("PROJECT", "BASE_URL", "SDK_TOKEN"):
        for words in (["list"], ["plan"], ["apply", "--yes"]):
            desk.plane.requests.clear()
            env = {**desk.env(), f"INFERENCEKEY_{name}": UNDECODABLE}
            done = run_here(*words, folder=desk.prepare(), env=env)
            assert (done.code, desk.plane.requests) == (1, [])
            assert done.err.count("\n") == 1


def test_names_of_files_that_are_not_text(desk: Desk) -> None:
    folder = desk.prepare()
    name = f"{UNDECODABLE}.json"
    (folder / "inferencekey.json").rename(folder / name)

    def run(*words: str) -> Done:
        desk.plane.requests.clear()
        return run_here(*words, folder=folder, env=desk.env())

    assert run("plan", "-f", name).code == 0
    for words in (["--json"], ["-o", "saved"]):
        done = run("plan", "-f", name, *words)
        assert (done.code, desk.plane.requests) == (1, [])
        assert r"the name of the manifest, a\udcffb.json, is not UTF-8 text" in done.err
    assert run("apply", "--yes", "-f", name).code == 0
    assert run("destroy", "--yes", "-f", name).code == 0
    done = run("export", "--json", "-o", f"x{name}")
    assert (done.code, done.json["written"]) == (0, f"x{name}")
    assert run("status", "--json", "--data", UNDECODABLE).json["data_dir"].endswith(UNDECODABLE)
