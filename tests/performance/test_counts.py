"""The quick check of speed: counts of operations, which no machine changes, and their bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the benchmarks' server runs on uvloop"
)


def counts(*options: str) -> tuple[int, dict[str, str]]:
    """Run the check. Return its exit code and the verdict of each count: ``ok`` or ``OVER``."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.counts", *options],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "OVER "))]
    assert lines, done.stderr
    print(done.stdout)
    return done.returncode, {line[5:45].strip(): line[:5].strip() for line in lines}


def test_no_count_exceeds_its_bound() -> None:
    code, found = counts()
    assert [name for name, verdict in found.items() if verdict != "ok"] == []
    assert code == 0
    assert len(found) == 14


def test_wasteful_clients_exceed_every_bound() -> None:
    # They serialise again, copy, and switch threads for each chunk. The check detects all of it.
    code, found = counts("--wasteful")
    assert code == 1
    assert [name for name, verdict in found.items() if verdict == "ok"] == []
