"""The public names, and that importing them costs next to nothing."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import inferencekey
from inferencekey import errors, models

HEAVY = (
    "aiohttp",
    "anyio",
    "attrs",
    "attr",
    "cattrs",
    "orjson",
    "rich",
    "typer",
    "asyncio",
    "yarl",
    "ssl",
    "email",
)


@pytest.mark.parametrize("name", inferencekey.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(inferencekey, name) is getattr(inferencekey, name)
    if isinstance(value := getattr(inferencekey, name), type):
        assert value.__name__ == name
        assert value.__doc__


def test_the_names_are_sorted_and_unique() -> None:
    assert inferencekey.__all__ == sorted(set(inferencekey.__all__))
    assert dir(inferencekey) == inferencekey.__all__


def test_nothing_public_is_left_out() -> None:
    internal = {"known_or_text", "member"}
    public = {*errors.__all__, *models.__all__} - internal
    assert public <= {*inferencekey.__all__}


def test_the_modules_and_the_names_for_type_checkers_agree() -> None:
    tree = ast.parse(Path(inferencekey.__file__).read_text("utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imports = [
        node for node in block.body if isinstance(node, ast.ImportFrom) and node.module != "typing"
    ]
    names = [alias.name for node in imports for alias in node.names]
    assert sorted(names) == sorted({*inferencekey.__all__} - {"__version__"})
    for room, members in inferencekey._ROOMS.items():
        assert {*members} <= {*importlib.import_module(f"inferencekey.{room}").__all__}


@pytest.mark.parametrize("name", ["ManagmentClient", "_missing", "errors_"])
def test_a_name_that_is_not_there(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'inferencekey' has no attribute '{name}'"):
        getattr(inferencekey, name)


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.fixture(scope="module")
def path() -> str:
    """The directory that holds the package under test."""
    return str(Path(inferencekey.__file__).parents[1])


def test_importing_is_light(path: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {path!r}); import inferencekey; "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert fresh(code) == "[]"


def test_importing_the_errors_is_light(path: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {path!r}); import inferencekey; inferencekey.ApiError; "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert fresh(code) == "[]"


def test_star_gives_every_name(path: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {path!r})\n"
        "from inferencekey import *\nimport inferencekey\n"
        "print(sorted(set(inferencekey.__all__) - set(globals())))"
    )
    assert fresh(code) == "[]"


def test_the_version_is_the_packages() -> None:
    """The build takes the version from the package, so the installed metadata has the same one."""
    assert metadata.version("inferencekey") == inferencekey.__version__
