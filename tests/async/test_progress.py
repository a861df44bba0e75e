"""The display of a wait: on terminals of any size, and on a pipe."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from faults.calls import TOKEN
from faults.plane import Plane, ready

from inferencekey._async.progress import ReadinessBoard
from inferencekey.models import Phase, ReadinessEvent


class Terminal(io.StringIO):
    """Keeps what a terminal would show. It knows the control sequences that the board uses."""

    def __init__(self) -> None:
        super().__init__()
        self.screen: list[str] = [""]
        self.row = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for part in re.findall(r"\x1b\[\d*[A-Z]|\r|\n|[^\x1b\r\n]+", text):
            if part == "\n":
                self.row += 1
                if self.row == len(self.screen):
                    self.screen.append("")
            elif part == "\x1b[2K":
                self.screen[self.row] = ""
            elif part == "\x1b[J":
                del self.screen[self.row + 1 :]
            elif part.endswith("A"):
                self.row -= int(part[2:-1])
                assert self.row >= 0
            elif part != "\r":
                self.screen[self.row] += part
        return len(text)


@pytest.fixture
def size(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "6")
    return monkeypatch


def event(phase: str, message: str = "") -> ReadinessEvent:
    return ReadinessEvent(Phase(phase), message)


def board(slugs: Sequence[str]) -> tuple[ReadinessBoard, Terminal]:
    terminal = Terminal()
    return ReadinessBoard(slugs, terminal), terminal


def test_one_workload_is_one_line(size: pytest.MonkeyPatch) -> None:
    shown, terminal = board(["bot"])
    shown.refresh(0.5)
    assert terminal.screen == [""], "nothing is known yet"
    shown.show("bot", event("bootstrapping", "loading"), 1)
    shown.refresh(1.5)
    assert terminal.screen == ["bot: bootstrapping loading (1.5 s)"]
    shown.show_trouble("bot", "reset", 2)
    assert terminal.screen == ["bot: no connection, trying again: reset (2.0 s)"]
    shown.show("bot", event("ready", "x" * 100), 3)
    line, after = terminal.screen
    assert (len(line), after) == (59, "")
    assert line.startswith("bot: ready xxx")
    assert line.endswith("x… (3.0 s)")
    shown.end()
    assert len(terminal.screen) == 2


def test_many_workloads_are_a_block_that_is_redrawn(size: pytest.MonkeyPatch) -> None:
    shown, terminal = board(["a", "b", "c"])
    shown.show("a", event("scheduling"), 1)
    assert terminal.screen == ["a: scheduling (1.0 s)", "b: waiting (1.0 s)", "c: waiting (1.0 s)"]
    shown.show("b", event("ready", "ok"), 2)
    shown.show_failure("c", "not found", 3)
    shown.refresh(4)
    assert terminal.screen == [
        "a: scheduling (4.0 s)",
        "b: ready ok (2.0 s)",
        "c: not found (3.0 s)",
    ]
    shown.show("a", event("ready"), 5)
    assert terminal.screen == [
        "a: ready (5.0 s)",
        "b: ready ok (2.0 s)",
        "c: not found (3.0 s)",
        "",
    ]


def test_workloads_that_do_not_fit_are_counted(size: pytest.MonkeyPatch) -> None:
    slugs = [f"w{n}" for n in range(12)]
    shown, terminal = board(slugs)
    shown.show("w0", event("scheduling"), 1)
    assert terminal.screen == [
        "w0: scheduling (1.0 s)",
        "w1: waiting (1.0 s)",
        "w2: waiting (1.0 s)",
        "w3: waiting (1.0 s)",
        "and 8 more: 8 waiting",
    ]
    for number in (1, 2, 11):
        shown.show(f"w{number}", event("ready"), 2)
    shown.show("w3", event("error", "no"), 3)
    shown.refresh(4)
    assert terminal.screen == [
        "w0: scheduling (4.0 s)",
        "w4: waiting (4.0 s)",
        "w5: waiting (4.0 s)",
        "w6: waiting (4.0 s)",
        "and 8 more: 3 ready, 1 failed, 4 waiting",
    ]
    for slug in slugs[:11]:
        shown.show(slug, event("ready"), 5)
    assert terminal.screen == ["and 12 more: 12 ready", ""]


def test_a_burst_of_events_is_drawn_at_intervals(size: pytest.MonkeyPatch) -> None:
    shown, terminal = board(["a", "b"])
    for number in range(100):
        shown.show("a", event("bootstrapping", str(number)), 1 + number / 1000)
    assert terminal.screen[0] == "a: bootstrapping 50 (1.1 s)", "every 50 ms"
    shown.refresh(2)
    assert terminal.screen == ["a: bootstrapping 99 (2.0 s)", "b: waiting (2.0 s)"]


def test_without_a_terminal_each_change_is_a_line() -> None:
    out = io.StringIO()
    shown = ReadinessBoard(["a", "b"], out)
    for _ in range(2):
        shown.show("a", event("bootstrapping", "load\x1b[2Jing\r"), 1)
        shown.refresh(1.5)
    shown.show_failure("b", "not found", 2)
    shown.show("a", event("ready"), 3)
    assert (
        out.getvalue()
        == "a: bootstrapping loading (1.0 s)\nb: not found (2.0 s)\na: ready (3.0 s)\n"
    )


def test_a_closed_terminal_ends_only_the_display() -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    shown = ReadinessBoard(["a", "b"], Gone())
    shown.show("a", event("scheduling"), 1)
    shown.refresh(3)
    shown.show("a", event("ready"), 4)
    shown.show("b", event("ready"), 4)
    shown.end()


SCRIPT = f"""
from inferencekey import ManagementClient
with ManagementClient(base_url=BASE, project="acme", sdk_token={TOKEN!r}) as mgmt:
    print(mgmt.wait_until_ready("one").phase)
"""


@pytest.mark.parametrize(
    ("redirection", "shown"),
    [
        ("", "one: scheduling ünï…"),
        ("2>&-", None),
        (">/dev/null 2>&- <&-", None),
        ("2>/dev/full", None),
        ("2> >(true)", None),
        ("PYTHONIOENCODING=ascii", r"one: scheduling \xfcn\xef\u2026"),
        ("PYTHONIOENCODING=ascii:strict", r"one: scheduling \xfcn\xef\u2026"),
        ("PYTHONIOENCODING=latin-1:strict", r"one: scheduling ünï\u2026"),
    ],
)
def test_no_stream_ends_the_wait(redirection: str, shown: str | None) -> None:
    with Plane() as plane:
        events = [{"phase": "scheduling", "message": "ünï…\r\nFORGED\x1b[2J\u202e"}, *ready()]
        plane.readiness = {"one": events}
        script = SCRIPT.replace("BASE", repr(plane.url))
        before, after = ("", redirection) if ">" in redirection else (redirection, "")
        done = subprocess.run(
            ["bash", "-c", f'{before} "$@" {after}', "-", sys.executable, "-c", script],
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (b"" if ">/dev/null" in redirection else b"ready\n")
    encoding = "latin-1" if "latin" in redirection else "utf-8"
    lines = done.stderr.decode(encoding).splitlines()
    if shown is None:
        assert lines == []
    else:
        assert len(lines) == 2
        assert lines[0].startswith(f"{shown} FORGED")
        assert lines[0].isprintable()


@pytest.mark.parametrize("closed", [True, False])
def test_a_stream_that_is_closed_or_less_than_a_stream(closed: bool) -> None:
    class Little:
        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            pass

    out = io.StringIO() if closed else Little()
    if isinstance(out, io.StringIO):
        out.close()
    shown = ReadinessBoard(["a"], out)  # type: ignore[arg-type]
    shown.show("a", event("bootstrapping", "x"), 1)
    shown.show("a", event("ready"), 2)
    if isinstance(out, Little):
        assert out.text == "a: bootstrapping x (1.0 s)\na: ready (2.0 s)\n"
