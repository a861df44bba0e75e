"""Writes ``_sync`` beside every ``_async``, for example ``inferencekey/_sync``.

    python inferencekey/_codegen/generate.py            write
    python inferencekey/_codegen/generate.py --check    exit 1 if a file or a byte differs

Run it by path, so that a broken ``_sync`` cannot stop its own regeneration. It reads source text
and imports nothing of the package.

Every class whose name begins with ``Async`` gets a sync class in a file of the same path. Each of
its public methods, inherited ones included, becomes a delegation with the same signature and
docstring.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import libcst as cst

PACKAGE = Path(__file__).resolve().parent.parent

BASE = "AsyncStream"
"""The base of the streams. Its sync counterpart, ``SyncStream``, is hand-written in ``_bridge``."""

HEADER = """\
# Generated from inferencekey/{source} by inferencekey/_codegen/generate.py.
\"\"\"The sync classes of ``inferencekey/{source}``.\"\"\"
"""

WORDS = (
    (re.compile(r"\bAsync(?=[A-Z])"), ""),
    (re.compile(r"``async (for|with)"), r"``\1"),
    (re.compile(r"\baclose\b"), "close"),
    (re.compile(r"``await`` opens [^.]+\."), "It is open when the call returns."),
    (re.compile(r"\bthe caller's task\b"), "the calling thread"),
)
"""How a docstring or an annotation of an async class reads in the sync class."""


def sync_text(text: str) -> str:
    """Return documentation or an annotation in sync words."""
    for pattern, word in WORDS:
        text = pattern.sub(word, text)
    return text


def code(node: cst.CSTNode) -> str:
    return cst.Module(body=[]).code_for_node(node)


def docstring(node: cst.ClassDef | cst.FunctionDef, indent: str) -> str:
    text = node.get_docstring(clean=False)
    return "" if text is None else f'{indent}"""{sync_text(text)}"""\n'


def dotted(path: PurePosixPath) -> str:
    """Return the name of the module at a path below ``inferencekey``."""
    parts = path.with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(("inferencekey", *parts))


def files_of(room: str) -> list[PurePosixPath]:
    """Return the files of every package and module with this name, below ``inferencekey``."""
    found = (PurePosixPath(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
    return sorted(path for path in found if room in path.with_suffix("").parts)


@dataclass(frozen=True)
class Source:
    """One async module.

    Args:
        path: its path below ``inferencekey``.
        tree: its code.
    """

    path: PurePosixPath
    tree: cst.Module

    @property
    def target(self) -> PurePosixPath:
        """The path of the sync module that is generated from it."""
        return PurePosixPath(*(re.sub(r"^_async\b", "_sync", part) for part in self.path.parts))

    @property
    def classes(self) -> dict[str, cst.ClassDef]:
        nodes = (item for item in self.tree.body if isinstance(item, cst.ClassDef))
        return {node.name.value: node for node in nodes}

    @property
    def public(self) -> list[str]:
        """The names of the classes that have a sync counterpart."""
        return [name for name in self.classes if name.startswith("Async") and name != BASE]

    def imports(self, used: Collection[str]) -> Iterator[str]:
        """Yield its imports of the names in *used*, one line each."""
        for statement in self.tree.body:
            if not isinstance(statement, cst.SimpleStatementLine):
                continue
            for item in statement.body:
                if isinstance(item, cst.Import):
                    head = "import"
                elif isinstance(item, cst.ImportFrom) and item.module is not None:
                    head = f"from {code(item.module)} import"
                else:
                    continue
                assert not isinstance(item.names, cst.ImportStar)
                for alias in item.names:
                    name, renamed = alias.evaluated_name, alias.evaluated_alias
                    if (renamed or name) in used:
                        yield f"{head} {name}" + (f" as {renamed}" if renamed else "")


class Api:
    """The classes of all async modules."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.home = {name: source for source in sources for name in source.classes}
        self.nodes = {name: source.classes[name] for name, source in self.home.items()}
        self.public = [name for source in sources for name in source.public]

    def lineage(self, name: str) -> list[str]:
        """Return a class and its bases, in the order in which Python looks methods up."""
        found = [name]
        for base in self.nodes[name].bases:
            if code(base.value) in self.nodes:
                found += self.lineage(code(base.value))
        # A base that several classes share comes after all of them.
        return [item for index, item in enumerate(found) if item not in found[index + 1 :]]

    def methods(self, name: str) -> list[cst.FunctionDef]:
        """Return the methods of a class and its bases, the constructor first."""
        found: dict[str, cst.FunctionDef] = {}
        for each in self.lineage(name):
            for item in self.nodes[each].body.body:
                if isinstance(item, cst.FunctionDef):
                    found.setdefault(item.name.value, item)
        return sorted(found.values(), key=lambda method: method.name.value != "__init__")

    def stream_item(self, name: str) -> str | None:
        """Return the type of a stream's items; ``None`` for a class that is not a stream."""
        for base in self.nodes[name].bases:
            if isinstance(base.value, cst.Subscript) and code(base.value.value) == BASE:
                return code(base.value).removeprefix(f"{BASE}[").removesuffix("]")
        return None

    @cached_property
    def wrapped(self) -> set[str]:
        """The names of the classes that methods return: a sync one wraps the async one it gets."""
        returned = {returns(method) for name in self.public for method in self.methods(name)}
        return returned & {*self.public}

    def sync_module(self, source: Source) -> str:
        """Return the code of the sync module of *source*, before formatting."""
        body = "\n\n".join(SyncClass(self, name).code() for name in source.public)
        # What only a docstring mentions is not used.
        used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
        lines = {f"from {dotted(source.path)} import {', '.join(source.public)}"}
        for name in source.public:
            for ancestor in self.lineage(name):
                lines.update(self.home[ancestor].imports(used))
        for name in self.public:
            home = self.home[name]
            if sync_text(name) in used and home is not source:
                lines.add(f"from {dotted(home.target)} import {sync_text(name)}")
        for name in {"SyncStream", "run"} & used:
            lines.add(f"from inferencekey._bridge import {name}")
        return "\n".join(
            [
                HEADER.format(source=source.path),
                "from __future__ import annotations\n",
                *sorted(lines),
                "",
                f"__all__ = {sorted(map(sync_text, source.public))!r}\n\n",
                body,
            ]
        )


class SyncClass:
    """The code of one generated class.

    Args:
        api: the classes of all async modules.
        name: the name of the async class.
    """

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.original = name
        self.item = api.stream_item(name)

    def code(self) -> str:
        base = "" if self.item is None else f"(SyncStream[{self.item}])"
        head = (
            f"class {sync_text(self.original)}{base}:\n"
            f"{docstring(self.api.nodes[self.original], '    ')}\n"
            f"    _async: {self.original}\n"
        )
        methods = (self.method(method) for method in self.api.methods(self.original))
        return "\n".join([head, *(method for method in methods if method)])

    def method(self, function: cst.FunctionDef) -> str:
        """Return the code of one method; empty for a private one."""
        name = function.name.value
        decorators = {code(decorator.decorator) for decorator in function.decorators}
        if name == "__init__":
            return self.constructor(function)
        if name == "__repr__":
            # The async class's repr begins with its own name.
            text = 'return repr(self._async).replace("Async", "", 1)'
            return f"    def __repr__(self) -> str:\n        {text}\n"
        if name == "__aenter__":
            return "    def __enter__(self) -> Self:\n        return self\n"
        if name == "__aexit__":
            return f"{signature(function, '__exit__')}        self.close()\n"
        if name.startswith("_"):
            return ""
        if "classmethod" in decorators:
            return f"    @classmethod\n{self.alternative_constructor(function)}"
        if "property" in decorators:
            body = f"        return self._async.{name}\n"
            return f"    @property\n{signature(function)}{docstring(function, ' ' * 8)}{body}"
        return self.delegation(function)

    def constructor(self, function: cst.FunctionDef) -> str:
        if self.item is not None:
            return (
                f"    def __init__(self, stream: {self.original}) -> None:\n"
                "        super().__init__(stream)\n"
                "        self._async = stream\n"
            )
        if self.original in self.api.wrapped:
            return (
                f"    def __init__(self, wrapped: {self.original}) -> None:\n"
                "        self._async = wrapped\n"
            )
        call = f"{self.original}({', '.join(self.arguments(function))})"
        return f"{signature(function)}        self._async = {call}\n"

    def alternative_constructor(self, function: cst.FunctionDef) -> str:
        call = f"{self.original}.{function.name.value}({', '.join(self.arguments(function))})"
        return (
            f"{signature(function)}{docstring(function, ' ' * 8)}"
            "        made = cls.__new__(cls)\n"
            f"        made._async = {call}\n"
            "        return made\n"
        )

    def delegation(self, function: cst.FunctionDef) -> str:
        method = f"self._async.{function.name.value}"
        arguments = self.arguments(function)
        if function.asynchronous is not None:
            call = f"run({', '.join([method, *arguments])})"
        else:
            call = f"{method}({', '.join(arguments)})"
            if returns(function) in self.api.wrapped:
                call = f"{sync_text(returns(function))}({call})"
        statement = call if returns(function) == "None" else f"return {call}"
        return f"{signature(function)}{docstring(function, ' ' * 8)}        {statement}\n"

    def arguments(self, function: cst.FunctionDef) -> list[str]:
        """Return how every parameter is passed on."""
        parameters = function.params
        positional = (*parameters.posonly_params, *parameters.params)[1:]
        passed = [self.argument(parameter) for parameter in positional]
        passed += [f"{p.name.value}={self.argument(p)}" for p in parameters.kwonly_params]
        if parameters.star_kwarg is not None:
            passed.append(f"**{parameters.star_kwarg.name.value}")
        return passed

    def argument(self, parameter: cst.Param) -> str:
        name = parameter.name.value
        annotation = parameter.annotation
        # A sync class that works with a client takes a sync one, and passes on the async one in it.
        if annotation is not None and code(annotation.annotation) in self.api.public:
            return f"{name}._async"
        return name


def returns(function: cst.FunctionDef) -> str:
    """Return the annotation of what a function returns; empty where it has none."""
    return "" if function.returns is None else code(function.returns.annotation)


def signature(function: cst.FunctionDef, name: str | None = None) -> str:
    """Return the ``def`` line of a sync method."""
    head = code(
        function.with_changes(
            asynchronous=None,
            decorators=[],
            leading_lines=[],
            name=cst.Name(name or sync_text(function.name.value)),
            body=cst.SimpleStatementSuite([cst.Pass()]),
        )
    )
    head = head.removesuffix("pass\n").rstrip()
    return f"    {sync_text(head)}\n"


def generate() -> dict[str, str]:
    """Return every sync module: paths below ``inferencekey`` and contents, before formatting."""
    sources = [
        Source(path, cst.parse_module((PACKAGE / path).read_text(encoding="utf-8")))
        for path in files_of("_async")
    ]
    api = Api(sources)
    files = {str(source.target): api.sync_module(source) for source in sources if source.public}
    files["_sync/__init__.py"] = HEADER.format(source="_async")
    return files


def formatted(files: dict[str, str]) -> dict[str, str]:
    """Return the files as the linter wants them, so that what is compared is what is committed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in files.items():
            (root / name).parent.mkdir(exist_ok=True, parents=True)
            (root / name).write_text(text, encoding="utf-8", newline="\n")
        ruff = [sys.executable, "-m", "ruff"]
        config = ["--config", str(PACKAGE.parent / "pyproject.toml"), "--no-cache", "--quiet"]
        sort_imports = [*ruff, "check", "--select", "I", "--fix", *config, folder]
        subprocess.run(sort_imports, check=True)  # noqa: S603
        subprocess.run([*ruff, "format", *config, folder], check=True)  # noqa: S603
        return {name: (root / name).read_text(encoding="utf-8") for name in files}


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the sync modules from the async ones.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if what is there differs"
    )
    check: bool = parser.parse_args().check
    wanted = {name: text.encode() for name, text in formatted(generate()).items()}
    there = {str(path): (PACKAGE / path).read_bytes() for path in files_of("_sync")}
    stale = sorted(
        name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name)
    )
    if not stale:
        print(f"the sync modules are up to date ({len(wanted)} files)")
        return 0
    if check:
        print(f"these sync modules are out of date: {', '.join(stale)}. Run {Path(__file__).name}.")
        return 1
    for name in there.keys() - wanted.keys():
        (PACKAGE / name).unlink()
    for name, data in wanted.items():
        (PACKAGE / name).parent.mkdir(exist_ok=True, parents=True)
        (PACKAGE / name).write_bytes(data)
    print(f"wrote {', '.join(stale)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
