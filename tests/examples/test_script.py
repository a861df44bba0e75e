"""``examples/script.py`` as a user runs it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import pytest
from platforms.up import Up, environment

from examples.apps import EXAMPLES, STRICT
from examples.browsers import Log

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


def start(up: Up, *prompt: str, **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*STRICT, str(EXAMPLES / "script.py"), *prompt],
        env=environment({**up.env, **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_it_prints_the_answer(up: Up) -> None:
    out, errors = (running := start(up, "Say", "hi.")).communicate(timeout=60)
    assert (running.returncode, errors) == (0, b"")
    assert out.strip()


def test_an_error_is_one_line(up: Up) -> None:
    out, errors = (running := start(up, "Hi", WORKLOAD="no-such-bot")).communicate(timeout=60)
    assert (running.returncode, out) == (1, b"")
    assert errors.startswith(b"not found: ")
    assert errors.count(b"\n") == 1


async def test_ctrl_c_stops_the_engine(up: Up) -> None:
    log = Log(up)
    with start(up, "Write a very long story.") as running:
        assert running.stdout is not None
        assert os.read(running.stdout.fileno(), 1)
        before = len(log.statuses())
        running.send_signal(signal.SIGINT)
        await log.ended(before + 1, within=1.5)
        _, errors = await asyncio.to_thread(running.communicate, timeout=10)
    assert (running.returncode, errors) == (130, b"")
