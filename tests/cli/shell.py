"""Runs commands in a folder of their own, against a local platform.

``run`` calls the function that ``python -m inferencekey`` calls, in this process, because the start
of an interpreter takes a second. Tests of signals, terminals and closed pipes start a process. A
test in ``test_exit_codes`` compares the two ways.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
from platforms.up import environment

from inferencekey import ManagementClient, Workload
from inferencekey.local import LocalPlatform
from inferencekey.local.store import open_store

__all__ = ["Done", "Shell", "run_here", "workload"]


def workload(slug: str, *, model: str = "acme/model", **fields: str) -> str:
    """Return one workload of a TOML manifest. No engine starts: no stand-in serves forecasts."""
    values = {
        "name": slug,
        "slug": slug,
        "model": model,
        "backend": "vllm",
        "task_type": "forecast",
        **fields,
    }
    return "[[workloads]]\n" + "".join(
        f"{name} = {json.dumps(value)}\n" for name, value in values.items()
    )


@attrs.frozen
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str = ""

    @property
    def json(self) -> Any:
        """Its stdout, one document."""
        return json.loads(self.out)


def run_here(
    *words: str, folder: Path | None = None, env: Mapping[str, str] | None = None, typed: str = ""
) -> Done:
    """Run a command line in this process, with pipes and an environment of its own.

    A blank variable in *env* is removed.
    """
    from inferencekey.cli.app import run

    # The platform may run in this process too: keep the variable that allows its programs.
    given = environment(
        {"INFERENCEKEY_LOCAL_PROGRAMS": os.environ["INFERENCEKEY_LOCAL_PROGRAMS"], **(env or {})}
    )
    out, err = _pipe(), _pipe()
    with (
        contextlib.chdir(folder or "."),
        mock.patch.dict(
            os.environ, {name: value for name, value in given.items() if value}, clear=True
        ),
        mock.patch.object(sys, "stdin", io.StringIO(typed)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = run(words)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return _checked(code, _text(out), _text(err))


def _pipe() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True)


def _text(pipe: io.TextIOWrapper) -> str:
    pipe.seek(0)
    with pipe:
        return pipe.read()


def _checked(code: int, out: str, err: str) -> Done:
    assert "Traceback" not in err, err
    assert not re.search(r"ik_(sdk|live)_\w{8}_", out + err), "a credential was printed"
    assert "\x1b" not in out + err, "escape sequences in a pipe"
    return Done(code, out, err)


@attrs.define
class Shell:
    """A folder, and the environment for a platform."""

    folder: Path
    platform: LocalPlatform
    env: dict[str, str]

    @classmethod
    def on(cls, platform: LocalPlatform, folder: Path, project: str = "acme") -> Shell:
        """Return a shell for a platform."""
        folder.mkdir(parents=True)
        env = {
            "INFERENCEKEY_BASE_URL": platform.base_url,
            "INFERENCEKEY_PROJECT": project,
            "INFERENCEKEY_SDK_TOKEN": platform.mint_sdk_token(project),
            "COLUMNS": "200",
            "TERM": "xterm-256color",
            "NO_COLOR": "",
        }
        return cls(folder, platform, env)

    def write(self, *parts: str, name: str = "inferencekey.toml") -> Path:
        """Write the manifest."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(parts), encoding="utf-8")
        return path

    def lock(self) -> dict[str, str]:
        """What the lock file records: the ids by slug."""
        from inferencekey.manifest import Lock

        return {
            entry.slug: entry.id for entry in Lock.read(self.folder / "inferencekey.lock").entries
        }

    def client(self, project: str = "acme") -> ManagementClient:
        """Return a client for the same platform."""
        return ManagementClient(
            base_url=self.platform.base_url,
            project=project,
            sdk_token=self.platform.mint_sdk_token(project),
        )

    def store(self, slug: str, **fields: object) -> None:
        """Put a workload into the platform's store, without any check."""
        content = {"name": slug, "model_name": "m", "backend": "vllm", "task_type": "forecast"}
        with open_store(self.platform.data_dir) as store:
            store.create_workload("acme", slug, {**content, **fields})

    def live(self, project: str = "acme") -> dict[str, Workload]:
        """The workloads of the platform, by slug."""
        with self.client(project) as mgmt:
            return {found.slug: found for found in mgmt.list_workloads()}

    def clear(self) -> None:
        """Delete all workloads."""
        for project in ("acme", "other"):
            with self.client(project) as mgmt:
                for found in mgmt.list_workloads():
                    mgmt.delete(found.slug)

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a command."""
        env = environment({**self.env, **options.pop("env", {})})
        return subprocess.Popen(
            [sys.executable, "-m", "inferencekey", *arguments],
            cwd=self.folder,
            env={name: value for name, value in env.items() if value},
            **options,
        )

    def run(self, *arguments: str, env: dict[str, str] | None = None, typed: str = "") -> Done:
        """Run a command in a pipe."""
        return run_here(
            *arguments, folder=self.folder, env={**self.env, **(env or {})}, typed=typed
        )

    def process(self, *arguments: str) -> Done:
        """Run a command in a pipe, in a process of its own."""
        process = self.popen(
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        out, err = process.communicate(timeout=100)
        return _checked(process.returncode, out, err)

    def terminal(
        self,
        *arguments: str,
        answer: str = "",
        interrupt_at: str = "",
        before_answer: Callable[[], object] = lambda: None,
    ) -> Done:
        """Run a command on a terminal.

        Args:
            arguments: the command line.
            answer: typed when the command asks a question.
            interrupt_at: press Ctrl-C when the terminal shows this text.
            before_answer: called before the answer is typed.
        """
        ours, theirs = pty.openpty()
        process = self.popen(
            *arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # a closed pty raises an error
            while part := os.read(ours, 4096):
                shown += part
                if answer and b"[y/N]" in shown:
                    before_answer()
                    os.write(ours, answer.encode() + b"\n")
                    answer = ""
                if interrupt_at and interrupt_at.encode() in shown:
                    process.send_signal(signal.SIGINT)
                    interrupt_at = ""
        os.close(ours)
        return Done(process.wait(60), shown.decode().replace("\r\n", "\n"))
