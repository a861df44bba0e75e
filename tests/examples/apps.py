"""The programs of ``examples/`` in processes of their own, as a user starts them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from platforms.up import environment

__all__ = ["EXAMPLES", "App"]

EXAMPLES = Path(__file__).parents[2] / "examples"
STRICT = [sys.executable, "-X", "dev", "-W", "error"]


class App:
    """One of the web applications, from its first answer to its end.

    Args:
        name: ``"fastapi"`` or ``"aiohttp"``.
        env: what it reads.
        log: where its output goes.
    """

    def __init__(self, name: str, env: Mapping[str, str], log: Path, **variables: str) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.chat = f"ws://127.0.0.1:{self.port}/chat"
        self.log = log
        if name == "fastapi":
            line = [
                "-m",
                "uvicorn",
                "--app-dir",
                str(EXAMPLES),
                "--port",
                str(self.port),
                "fastapi_websocket:app",
            ]
        else:
            line = [str(EXAMPLES / "aiohttp_websocket.py")]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*STRICT, *line],
                env=environment({**env, **variables, "PORT": str(self.port)}),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    self.process.kill()
                    raise AssertionError(
                        f"the app did not come up: {self.log.read_text()}"
                    ) from None
                time.sleep(0.05)

    def stop(self) -> float:
        """Terminate it as a service manager does; return the seconds it took.

        Its output must not have an error in it.
        """
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        took = time.monotonic() - began
        said = self.log.read_text()
        # uvicorn ends by the signal that it was sent.
        assert code in (0, -signal.SIGTERM), said
        for word in ("Traceback", "Error", "Warning", "Unclosed", "never awaited"):
            assert word not in said, said
        return took

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            if error is None:
                self.stop()
            else:
                self.process.kill()
                self.process.wait()


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        address: Any = found.getsockname()
        return int(address[1])
