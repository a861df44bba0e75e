"""The commands of the page on deploying, run in its order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from platforms.up import environment

from cli.shell import Shell

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "deploying.md"


@pytest.mark.engine
def test_the_commands_of_the_page_work(shell: Shell, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "inferencekey"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m inferencekey "$@"\n')
    program.chmod(0o755)
    env = environment({**shell.env, "INFERENCEKEY_PROJECT": ""})
    env["PATH"] = f"{programs}:{env['PATH']}"
    blocks = re.findall(
        r"^```(bash|toml)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) > 3
    exported = False
    for kind, text in blocks:
        if kind == "toml":
            shell.write(text)
            continue
        if "export" in text:
            env["INFERENCEKEY_PROJECT"] = "acme"
            exported = True
        done = subprocess.run(
            ["bash", "-eu", "-c", text],
            cwd=shell.folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        if "--wait" in text:
            assert sorted(shell.live()) == ["billing", "support-bot"]
    assert exported
    assert shell.live() == {}
