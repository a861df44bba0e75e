"""The public names of the deploy library, and what importing them costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from inferencekey import deploy
from inferencekey.deploy import AsyncDeployment, Deployment


@pytest.mark.parametrize("name", deploy.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(deploy, name)
    assert value.__name__ == name
    assert value.__doc__
    assert value.__module__.startswith("inferencekey.deploy.")


def test_dir_lists_the_names() -> None:
    assert dir(deploy) == sorted(deploy.__all__) == list(deploy.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Deploymnt'"):
        getattr(deploy, "Deploymnt")  # noqa: B009


def test_the_sync_class_has_the_same_methods_and_docstrings() -> None:
    for name, method in inspect.getmembers(AsyncDeployment, inspect.isfunction):
        if name.startswith("_"):
            continue
        twin = getattr(Deployment, name)
        assert inspect.signature(twin) == inspect.signature(method)
        assert twin.__doc__
        assert "await" not in twin.__doc__


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, inferencekey, inferencekey.deploy\n"
        "heavy = ('aiohttp', 'anyio', 'asyncio', 'attrs', 'orjson', 'rich', 'typer')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_it_needs_nothing_of_the_command_line() -> None:
    code = (
        "import sys\n"
        "for name in ('rich', 'typer', 'yaml', 'inferencekey.cli'):\n"
        "    sys.modules[name] = None\n"
        "from inferencekey.deploy import *\n"
        "print(AsyncDeployment.__name__, Deployment.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "AsyncDeployment Deployment\n"


def test_the_reference_has_every_name() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api" / "deploy.md").read_text(encoding="utf-8")
    described = re.findall(r"^\.\. auto(?:class|function):: (\w+)", page, re.MULTILINE)
    assert sorted(described) == sorted(deploy.__all__)
