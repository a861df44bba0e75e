"""Starts the processes of the server and the clients, and exchanges lines with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from benchmarks import launch
from benchmarks.clients.catalogue import ClientSpec

HERE: Final = Path(__file__).parent


class ProcessFailed(Exception):
    """A process ended, or reported a failure."""


def environment(spec: ClientSpec | None = None) -> dict[str, str]:
    """Return a client's environment variables, without import paths, debug modes and proxies."""
    dropped = {
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONWARNINGS",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    }
    dropped |= {
        "COVERAGE_PROCESS_START",
        "COVERAGE_PROCESS_CONFIG",
        "PYTHONASYNCIODEBUG",
        "PYTHONDEVMODE",
    }
    kept = {name: value for name, value in os.environ.items() if name.upper() not in dropped}
    variables = {"PYTHONHASHSEED": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if spec is not None and spec.environment == "own":
        variables |= (
            {launch.INSTEAD: spec.checkout}
            if spec.checkout
            else {launch.CHECKOUT: str(HERE.parent)}
        )
    if spec is not None and spec.uvloop:
        variables[launch.UVLOOP] = "1"
    return kept | variables


def launch_command(python: str, child: str, *arguments: str) -> list[str]:
    """Return the command that runs a program of ``children``."""
    return [python, "-P", str(HERE / "launch.py"), child, *arguments]


def run(spec: ClientSpec, python: str, child: str, *arguments: str) -> dict[str, Any]:
    """Run a program of ``children`` to its end and return the result that it printed.

    Raises:
        ProcessFailed: it printed no result. The cause is on stderr.
    """
    done = subprocess.run(
        launch_command(python, child, *arguments),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(spec),
        check=False,
    )
    if done.returncode or not done.stdout:
        raise ProcessFailed(f"{child} exited with code {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


class LineProcess:
    """A process that exchanges lines with this one. It ends when its stdin is closed."""

    def __init__(
        self, name: str, command: list[str], env: dict[str, str], *, cwd: Path | None = None
    ) -> None:
        self._name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=cwd, env=env
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, text: str) -> None:
        """Send a line to the process."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def receive(self) -> str:
        """Return the next line of its output.

        Raises:
            ProcessFailed: it has ended. The cause is on stderr.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ProcessFailed(f"{self._name} exited with code {self._process.wait()}")
        return line.rstrip("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class ServerProcess(LineProcess):
    """The server of the benchmarks. ``url`` is its address."""

    def __init__(self) -> None:
        super().__init__(
            "server", [sys.executable, "-m", "benchmarks.server"], environment(), cwd=HERE.parent
        )
        self.url = f"http://127.0.0.1:{self.receive()}"


class ClientProcess(LineProcess):
    """One client in its environment.

    Args:
        spec: which client.
        python: the interpreter.
        url: the server's URL.
    """

    def __init__(self, spec: ClientSpec, python: str, url: str) -> None:
        super().__init__(
            spec.name,
            launch_command(python, "worker", spec.target, spec.style, url),
            environment(spec),
        )
        self.spec = spec
        self.versions: dict[str, str] = json.loads(self.receive())

    def round(self, **order: Any) -> dict[str, float]:
        """Run a round in the process and return its reading.

        Raises:
            ProcessFailed: the client raised, or its process ended.
        """
        self.send(json.dumps(order))
        reading: dict[str, Any] = json.loads(self.receive())
        if "failed" in reading:
            raise ProcessFailed(reading["failed"])
        return reading
