"""Checks of the pages, besides their code, which ``conftest.py`` runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import attrs

import inferencekey
from inferencekey.models import RetryPolicy, Timeouts

DOCS = Path(__file__).resolve().parent


def test_the_command_reference_is_up_to_date() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(DOCS / "generate_cli.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"<!--- not followed: .* -->\n```bash\n(.*)\n```", readme)
    script = (DOCS.parent / ".ci" / "run").read_text(encoding="utf-8")
    # It is the last line of the script, so that the output ends with the closing line of nox.
    assert script.splitlines()[-1] == command


def test_no_page_installs_the_package_of_the_public_index() -> None:
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md"), *DOCS.parent.glob("examples/*")]
    installs = re.compile(r"install (?:-\S+ )*['\"]?inferencekey\b(?!`? does not)")
    found = [
        f"{path.name}: {line}"
        for path in pages
        for line in path.read_text(encoding="utf-8").splitlines()
        if installs.search(line)
    ]
    assert found == []


def test_the_table_of_defaults_has_every_default() -> None:
    page = (DOCS / "guide" / "deadlines-and-retries.md").read_text(encoding="utf-8")
    for kind in (Timeouts, RetryPolicy):
        for field in attrs.fields(kind):
            assert f"| `{kind.__name__}.{field.name}` | {field.default:g} " in page, field.name


def test_the_reference_has_every_public_name() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    described = set(
        re.findall(r"^\.\. auto(?:class|exception):: (\w+)(?:\(\))?$", pages, re.MULTILINE)
    )
    assert set(inferencekey.__all__) - {"__version__"} <= described
