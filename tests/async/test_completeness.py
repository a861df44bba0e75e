"""Nothing public is forgotten: in the sync API, in the API pages, in the file for type checkers."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import inferencekey
from inferencekey import _async, _sync

HERE = Path(__file__).parents[2]

TYPED = ast.parse((HERE / "tests" / "typing" / "api.py").read_text("utf-8"))

NAMES = [name for name in inferencekey.__all__ if name != "__version__"]

CLIENTS_AND_STREAMS = [
    name
    for name in NAMES
    if getattr(inferencekey, name).__module__.startswith(("inferencekey._async", _sync.__name__))
    and name not in ("CallOptions", "TextOptions")
]


def classes(package: ModuleType) -> dict[str, type]:
    """Return every class that a module of the package exports, by its name."""
    found: dict[str, type] = {}
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        for name in getattr(module, "__all__", ()):
            if isinstance(value := getattr(module, name), type):
                found[name] = value
    return found


def public_members(of: type) -> list[str]:
    return [name for name in dir(of) if not name.startswith("_")]


def parameters(function: object) -> list[tuple[str, object, object]]:
    """Return the name, the kind and the default of every parameter."""
    assert inspect.isfunction(function)
    signature = inspect.signature(function)
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


def documented() -> set[str]:
    """Return the names that the API pages document."""
    pages = [path.read_text("utf-8") for path in (HERE / "docs" / "api").glob("*.md")]
    return {name for page in pages for name in re.findall(r"^\.\. auto\w+:: (\w+)", page, re.M)}


def typed(function: str) -> set[str]:
    """Return the attributes that one function of ``tests/typing/api.py`` uses."""
    (found,) = (
        node
        for node in TYPED.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == function
    )
    return {node.attr for node in ast.walk(found) if isinstance(node, ast.Attribute)}


def test_every_async_class_is_public_and_has_a_sync_class() -> None:
    asynchronous = {
        name.removeprefix("Async")
        for name in classes(_async)
        if name.startswith("Async") and name != "AsyncStream"
    }
    assert asynchronous == {*classes(_sync)}
    assert asynchronous | {f"Async{name}" for name in asynchronous} <= {*NAMES}


@pytest.mark.parametrize("name", [n for n in CLIENTS_AND_STREAMS if not n.startswith("Async")])
def test_a_sync_class_has_the_members_of_the_async_one(name: str) -> None:
    sync = getattr(inferencekey, name)
    asynchronous = getattr(inferencekey, f"Async{name}")
    renamed = {"aclose": "close"}
    assert public_members(sync) == sorted(
        renamed.get(member, member) for member in public_members(asynchronous)
    )
    for member in public_members(asynchronous):
        theirs = inspect.getattr_static(asynchronous, member)
        ours = inspect.getattr_static(sync, renamed.get(member, member))
        if inspect.isfunction(theirs):
            assert parameters(ours) == parameters(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_in_the_api_pages(name: str) -> None:
    assert name in documented()


@pytest.mark.parametrize("name", CLIENTS_AND_STREAMS)
def test_every_public_member_has_a_docstring(name: str) -> None:
    # Sphinx leaves out of the API pages what has none.
    of = getattr(inferencekey, name)
    assert [m for m in public_members(of) if not inspect.getdoc(getattr(of, m))] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_type_checked(name: str) -> None:
    assert name in {node.id for node in ast.walk(TYPED) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", CLIENTS_AND_STREAMS)
def test_every_public_member_is_type_checked(name: str) -> None:
    used = typed("asynchronous" if name.startswith("Async") else "synchronous")
    assert [m for m in public_members(getattr(inferencekey, name)) if m not in used] == []
