"""Programs in another interpreter, to test its exit, Ctrl-C and forks."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

__all__ = ["Program", "run_program"]

SLOW_CALLBACK = re.compile(r"^Executing <.*> took \d+\.\d+ seconds\n", re.M)
"""What asyncio's debug mode prints when a step took long: on a busy machine, any step does."""


class Program(subprocess.Popen[str]):
    """A running program that shows all warnings. Tokens and addresses are arguments."""

    def __init__(self, source: str, *arguments: str) -> None:
        command = [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "always",
            "-c",
            textwrap.dedent(source),
            *arguments,
        ]
        super().__init__(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def line(self) -> str:
        """Return the next line of its output."""
        assert self.stdout is not None
        return self.stdout.readline().strip()

    def ended(self, timeout: float = 20.0) -> tuple[int, str, str]:
        """Return exit code, remaining output and errors."""
        try:
            out, err = self.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            out, err = self.communicate()
            raise AssertionError(f"did not end in {timeout} s: {out}\n{err}") from None
        return self.returncode, out, SLOW_CALLBACK.sub("", err)


def run_program(source: str, *arguments: str, timeout: float = 30.0) -> tuple[int, str, str]:
    """Run a program to its end; return exit code, output and errors."""
    return Program(source, *arguments).ended(timeout)
