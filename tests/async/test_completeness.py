"""Every public name has a sync counterpart, an entry in the API pages, and a check of its types."""

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
from inferencekey import AsyncEndpoint, _async, _sync, deploy
from inferencekey._async import endpoint
from inferencekey._async.endpoint.base import BaseEndpoint

HERE = Path(__file__).parents[2]

TYPED = ast.parse((HERE / "tests" / "typing" / "api.py").read_text("utf-8"))

PUBLIC = {
    name: getattr(module, name)
    for module in (inferencekey, deploy)
    for name in module.__all__
    if name != "__version__"
}

ASYNC = [name for name in PUBLIC if name.startswith("Async")]
SYNC = [name.removeprefix("Async") for name in ASYNC]


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


def typed(kind: type[ast.AST]) -> set[str]:
    """Return the attributes that the functions of ``tests/typing/api.py`` of one kind use."""
    functions = [node for node in TYPED.body if isinstance(node, kind)]
    return {
        node.attr
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
    }


def test_every_async_class_is_public_and_has_a_sync_class() -> None:
    asynchronous = {name for name in classes(_async) if name.startswith("Async")} - {"AsyncStream"}
    assert {*classes(_sync)} == {name.removeprefix("Async") for name in asynchronous}
    assert asynchronous <= {*ASYNC}
    assert {*SYNC} <= {*PUBLIC}


def test_every_modality_is_joined_to_the_endpoint() -> None:
    modalities = {of for of in classes(endpoint).values() if issubclass(of, BaseEndpoint)}
    assert modalities - {BaseEndpoint} == {*AsyncEndpoint.__bases__}


@pytest.mark.parametrize("name", SYNC)
def test_a_sync_class_has_the_members_of_the_async_one(name: str) -> None:
    sync = PUBLIC[name]
    asynchronous = PUBLIC[f"Async{name}"]
    renamed = {"aclose": "close"}
    assert public_members(sync) == sorted(
        renamed.get(member, member) for member in public_members(asynchronous)
    )
    for member in public_members(asynchronous):
        theirs = inspect.getattr_static(asynchronous, member)
        ours = inspect.getattr_static(sync, renamed.get(member, member))
        if inspect.isfunction(theirs):
            assert parameters(ours) == parameters(theirs)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_api_pages(name: str) -> None:
    assert name in documented()


@pytest.mark.parametrize("name", [*ASYNC, *SYNC])
def test_every_public_member_has_a_docstring(name: str) -> None:
    # Sphinx leaves a member without a docstring out of the API pages.
    of = PUBLIC[name]
    assert [m for m in public_members(of) if not inspect.getdoc(getattr(of, m))] == []


@pytest.mark.parametrize("name", SYNC)
def test_a_sync_docstring_has_no_async_words(name: str) -> None:
    of = PUBLIC[name]
    docs = [inspect.getdoc(of) or ""]
    docs += [inspect.getdoc(getattr(of, member)) or "" for member in public_members(of)]
    assert [doc for doc in docs if re.search(r"async|await|\baclose|\btasks?\b", doc, re.I)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_type_checked(name: str) -> None:
    assert name in {node.id for node in ast.walk(TYPED) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", [*ASYNC, *SYNC])
def test_every_public_member_is_type_checked(name: str) -> None:
    kind = ast.AsyncFunctionDef if name in ASYNC else ast.FunctionDef
    assert [m for m in public_members(PUBLIC[name]) if m not in typed(kind)] == []
