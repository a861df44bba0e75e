"""The ``inferencekey`` command as a user runs it, in its own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Up", "command", "environment"]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without INFERENCEKEY_ variables, except the cache."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("INFERENCEKEY_") or name == "INFERENCEKEY_CACHE"
    }
    return {**kept, **(extra or {})}


def command(
    *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run ``inferencekey ARGUMENTS`` and wait until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "inferencekey", *arguments],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class Up:
    """A process of ``inferencekey up --json`` that has printed its first line.

    Attributes:
        base_url, project, sdk_token, api_key: the values of the first line.
        env: the same as the environment that clients read.
    """

    def __init__(self, data: Path, *arguments: str, project: str = "acme") -> None:
        self.data = data
        line: Sequence[str] = [
            "up",
            "--json",
            "--port",
            "0",
            "--data",
            str(data),
            "--project",
            project,
            *arguments,
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inferencekey", *line],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        if not first:
            _, errors = self.process.communicate(timeout=30)
            raise AssertionError(f"up did not come up: {errors}")
        exports: dict[str, Any] = json.loads(first)
        self.base_url: str = exports["base_url"]
        self.project: str = exports["project"]
        self.sdk_token: str = exports["sdk_token"]
        self.api_key: str = exports["api_key"]
        assert list(exports) == ["base_url", "project", "sdk_token", "api_key"]

    @property
    def env(self) -> dict[str, str]:
        return {
            "INFERENCEKEY_BASE_URL": self.base_url,
            "INFERENCEKEY_PROJECT": self.project,
            "INFERENCEKEY_SDK_TOKEN": self.sdk_token,
            "INFERENCEKEY_API_KEY": self.api_key,
        }

    def mint(self, *grants: str) -> str:
        """Create a data key with the command, while the platform runs."""
        done = command("token", "live", *grants, "--data", str(self.data), "--json")
        assert done.returncode == 0, done.stderr
        token: str = json.loads(done.stdout)["token"]
        return token

    def stop(self, how: int = signal.SIGTERM, timeout: float = 20.0) -> tuple[int, str, str]:
        """Send a signal; return the exit code, the remaining output and the errors."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        out, errors = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, errors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        code, _, errors = self.stop()
        if error is None:
            assert code == 0, errors
