"""Follows a page as a reader does: every block is pasted, in order, into one terminal.

The terminal is a pty with ``bash`` in it. Its directory is a fresh copy of this checkout, and its
home directory is empty. ``bash`` blocks are pasted at bash's prompt. The block ``python`` starts
Python's prompt, where the ``python`` blocks are pasted until one of them ends with ``exit()``. A
``text`` block is text that the block before it must print. A block after
``<!--- not followed: … -->`` is left out.

Two things differ from a new machine. pip uses this machine's cache and index (``PIP_CACHE_DIR`` and
the other ``PIP_*`` variables), and models that were downloaded before are used again
(``INFERENCEKEY_CACHE``). Nothing is installed beforehand: the install line of the page is executed
as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import platformdirs

__all__ = ["Block", "Terminal", "blocks", "one_at_a_time"]

ROOT: Final = Path(__file__).resolve().parent.parent
NOT_COPIED: Final = (".git", ".venv", ".nox", "build", "dist", "_build", "__pycache__", ".*_cache")

INSTALL_SECONDS: Final = 540.0
BLOCK_SECONDS: Final = 240.0

_BLOCK = re.compile(
    r"^(?P<skip><!--- not followed: .*? -->\n+)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_STATUS = re.compile(r"\[status (\d+)\]> ")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-B]|[=>])|\x07")
_PYTHON_ERRORS = re.compile(r"^(?:Traceback |\w*Error\b)", re.MULTILINE)


@attrs.frozen
class Block:
    """One block of a page.

    Args:
        line: where it begins, from 1.
        language: ``bash`` or ``python``.
        text: what is pasted.
        expected: what it must print, from the ``text`` block after it; empty without one.
    """

    line: int
    language: str
    text: str
    expected: str = ""


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page that are followed, in order."""
    found: list[Block] = []
    for match in _BLOCK.finditer(page):
        language, text = match["language"], match["text"]
        if match["skip"]:
            continue
        if language == "text" and found:
            found[-1] = attrs.evolve(found[-1], expected=text)
        elif language in ("bash", "python"):
            line = page.count("\n", 0, match.start("language")) + 1
            found.append(Block(line, language, text))
    return found


class Terminal:
    """A bash in a fresh copy of the checkout; closing it stops what it started."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="inferencekey-followed-")
        home = Path(self._folder.name) / "home"
        home.mkdir()
        self._checkout = Path(self._folder.name) / "inferencekey"
        shutil.copytree(ROOT, self._checkout, ignore=shutil.ignore_patterns(*NOT_COPIED))
        self._env = _environment(home)
        self._in_python = False
        self._count = 0
        self._ours, theirs = pty.openpty()
        # Wide, so that nothing a block prints is wrapped.
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 400, 0, 0))
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],  # noqa: S607
            cwd=self._checkout,
            env=self._env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            # A new session with this terminal as its controlling terminal, as in a window.
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        self._read_until(_STATUS, 30)

    def paste(self, block: Block) -> str:
        """Paste one block; return what the terminal showed.

        Raises:
            AssertionError: a command failed, Python showed an error, or the block did not print
                the expected text.
        """
        if block.language == "python":
            assert self._in_python, "start Python first, with a block that is the line: python"
            shown = self._paste_python(block)
        else:
            assert not self._in_python, "leave Python first, with the line: exit()"
            shown = self._paste_bash(block)
        _check_expected(shown, block.expected)
        return shown

    def close(self) -> None:
        """Stop the platform, if the page has left one, and end the shell."""
        program = self._checkout / ".venv" / "bin" / "inferencekey"
        if program.exists():
            subprocess.run([program, "down"], env=self._env, check=False, timeout=60)  # noqa: S603
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait(30)
        os.close(self._ours)
        self._folder.cleanup()

    def _paste_bash(self, block: Block) -> str:
        if block.text.strip() == "python":
            self._in_python = True
            return self._type("python\n", re.compile(r"^>>> ", re.MULTILINE), 60)
        seconds = INSTALL_SECONDS if "pip install" in block.text else BLOCK_SECONDS
        shown = self._type(
            block.text + self._last_line("echo block {} ended"), self._end(), seconds
        )
        failed = [status for status in _STATUS.findall(shown) if status != "0"]
        assert not failed, f"a command ended with exit code {failed[0]}:\n{shown}"
        return shown

    def _paste_python(self, block: Block) -> str:
        if block.text.strip().endswith("exit()"):
            self._in_python = False
            shown = self._type(block.text, _STATUS, 60)
        else:
            # The empty line ends a block of Python's grammar, as the Enter key does at the prompt.
            last = "\n" + self._last_line('print("block", {}, "ended")')
            shown = self._type(block.text + last, self._end(), BLOCK_SECONDS)
        assert not _PYTHON_ERRORS.search(shown), f"Python showed an error:\n{shown}"
        assert set(_STATUS.findall(shown)) <= {"0"}, f"Python ended with an error:\n{shown}"
        return shown

    def _last_line(self, command: str) -> str:
        self._count += 1
        return command.format(self._count) + "\n"

    def _end(self) -> re.Pattern[str]:
        # The terminal also shows what was typed. Only the output begins at the start of a line.
        return re.compile(rf"^(?:>>> |\.\.\. )*block {self._count} ended\n", re.MULTILINE)

    def _type(self, text: str, end: re.Pattern[str], seconds: float) -> str:
        os.write(self._ours, text.encode())
        return self._read_until(end, seconds)

    def _read_until(self, end: re.Pattern[str], seconds: float) -> str:
        """Return what is shown until *end* is."""
        deadline = time.monotonic() + seconds
        raw = b""
        shown = ""
        while not end.search(shown):
            ready, _, _ = select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"nothing ended this within {seconds:g} s:\n{shown}"
            try:
                raw += os.read(self._ours, 65536)
            except OSError:
                raise AssertionError(f"the shell has ended:\n{shown}") from None
            shown = _ESCAPES.sub("", raw.decode(errors="replace")).replace("\r", "")
        return shown


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if _is_kept(name)}
    cache = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "dir"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {
        "INFERENCEKEY_CACHE": platformdirs.user_cache_dir("inferencekey"),
        "PIP_CACHE_DIR": cache.stdout.strip(),
        **kept,
        "HOME": str(home),
        "PS1": "[status $?]> ",
        # A terminal that understands no escape sequences, and Python's prompt of before 3.13.
        "TERM": "dumb",
        "PYTHON_BASIC_REPL": "1",
        "VIRTUAL_ENV_DISABLE_PROMPT": "1",
    }


def _is_kept(name: str) -> bool:
    names = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "INFERENCEKEY_CACHE")
    return name in names or name.startswith("PIP_") or name.lower().endswith("_proxy")


def _check_expected(shown: str, expected: str) -> None:
    rest = iter([line.strip() for line in shown.splitlines()])
    for line in expected.splitlines():
        wanted = line.strip()
        assert wanted in rest, f"this line of the expected text is missing: {wanted}\n{shown}"


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for other runs on this machine: a followed page uses the platform's default port."""
    path = Path(tempfile.gettempdir()) / "inferencekey-followed.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
