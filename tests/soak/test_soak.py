"""Ten seconds of the soak, with fewer callers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from platforms.up import environment

TESTS = Path(__file__).parents[1]


@pytest.mark.timeout(180)
def test_ten_seconds_of_random_faults() -> None:
    options = ["--seconds", "10", "--streams", "40", "--threads", "6", "--json"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "soak.soak", *options],
        env=environment({"PYTHONPATH": str(TESTS)}),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)
    assert (done.returncode, figures["failures"]) == (0, []), figures
    assert figures["calls"] > 200
    assert {"whole", "left", "StreamInterrupted", "RequestTimeout", "GenerationFailed"} <= set(
        figures["outcomes"]
    )
    # stderr has progress lines only: no warning, and no error at exit.
    assert all(" calls, " in line for line in done.stderr.splitlines()), done.stderr
