"""Private names of aiohttp are used in a few files only.

With an untested version of aiohttp those files are not imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import aiohttp.client_proto
import aiohttp.client_reqrep
import aiohttp.connector
import pytest
from aiohttp import web

import inferencekey

PACKAGE = Path(inferencekey.__file__).parent

MAY = {
    "_http/connections.py",
    "_http/fast_path.py",
    "_http/responses.py",
    "local/data_plane/streams/engine_connection.py",
}
"""The files that may use private names."""

PUBLIC_MODULES = {"aiohttp", "aiohttp.web", "aiohttp.typedefs", "aiohttp.abc"}
"""The modules of aiohttp that its documentation names."""

CLASSES: list[type] = [
    aiohttp.ClientSession,
    aiohttp.ClientRequest,
    aiohttp.ClientResponse,
    aiohttp.StreamReader,
    aiohttp.TCPConnector,
    aiohttp.connector.Connection,
    aiohttp.client_proto.ResponseHandler,
    web.Request,
    web.StreamResponse,
    web.Application,
    web.AppRunner,
]

SUBCLASSED_PRIVATELY = {
    "BaseConnector",
    "ClientRequest",
    "ClientResponse",
    "ResponseHandler",
    "StreamReader",
    "TCPConnector",
}
"""Classes whose subclasses are built on what is not documented."""


def private_names() -> set[str]:
    """The attributes of aiohttp's objects that begin with an underscore."""
    found: set[str] = set()
    for kind in CLASSES:
        for base in kind.__mro__:
            if not base.__module__.startswith("aiohttp"):
                continue
            code = base.__dict__.get("__init__")
            names = getattr(getattr(code, "__code__", None), "co_names", ())
            found |= {name for name in (*vars(base), *names) if is_private(name)}
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.Module) -> set[str]:
    """The private attributes that classes of a module give themselves."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("self", "cls")
    } | {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def uses(source: str, private: set[str]) -> Iterator[str]:
    """Yield what a module uses that is not public in aiohttp."""
    tree = ast.parse(source)
    own = own_names(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case ast.ClassDef(bases=bases):
                modules = []
                for base in bases:
                    name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
                    if name in SUBCLASSED_PRIVATELY:
                        yield f"line {node.lineno}: a subclass of {name}"
            case ast.Attribute(value=value, attr=attr):
                modules = []
                mine = isinstance(value, ast.Name) and value.id in ("self", "cls", "sys")
                if attr in private and attr not in own and not mine:
                    yield f"line {node.lineno}: .{attr}"
            case _:
                modules = []
        for module in modules:
            if module.split(".")[0] == "aiohttp" and module not in PUBLIC_MODULES:
                yield f"line {node.lineno}: import {module}"


FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("name", [name for name in FILES if name not in MAY])
def test_uses_only_public_names_of_aiohttp(name: str) -> None:
    source = (PACKAGE / name).read_text(encoding="utf-8")
    assert list(uses(source, private_names())) == []


@pytest.mark.parametrize("name", sorted(MAY))
def test_every_listed_file_uses_a_private_name(name: str) -> None:
    source = (PACKAGE / name).read_text(encoding="utf-8")
    assert list(uses(source, private_names()))


@pytest.mark.parametrize(
    "source",
    [
        "import aiohttp.client_proto",
        "from aiohttp.connector import Connection",
        "from aiohttp.http_exceptions import HttpProcessingError",
        "made._retry_connection = False",
        "await content._read_nowait(-1)",
        "session._loop.is_closed()",
        "class C(aiohttp.TCPConnector): pass",
        "class P(ResponseHandler): pass",
        "def f():\n    if x:\n        return session.connector._conns",
    ],
)
def test_finds_a_private_name(source: str) -> None:
    assert len(list(uses(source, private_names()))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import aiohttp\nfrom aiohttp import web\nfrom aiohttp.typedefs import Handler",
        "class A:\n    def f(self):\n        self._loop = 1\n        return other._loop",
        "class E(aiohttp.ClientPayloadError): pass",
        "session.connector.close()",
    ],
)
def test_accepts_public_names(source: str) -> None:
    assert list(uses(source, private_names())) == []
