"""A command is a file, a row in the table of commands, and a section of the page."""

from __future__ import annotations

from pathlib import Path

from inferencekey.cli import commands
from inferencekey.cli.app import COMMANDS

HERE = Path(__file__).parents[2]

GROUPS = {"token"}
"""Commands with commands of their own, which the table does not list."""


def test_every_command_is_a_file_and_every_file_a_command() -> None:
    files = {path.stem for path in Path(commands.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == {*COMMANDS} | GROUPS


def test_every_command_is_on_the_page() -> None:
    page = (HERE / "docs" / "cli.md").read_text("utf-8")
    missing = [name for name in (*COMMANDS, *GROUPS) if f"inferencekey {name}" not in page]
    assert missing == []
