"""Writes ``_sync`` beside every ``_async``: ``inferencekey/_sync``, ``inferencekey/deploy/_sync.py``.

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
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import libcst as cst

PACKAGE = Path(__file__).resolve().parent.parent

BASE = "AsyncStream"
"""The base of the streams. Its sync counterpart, ``SyncStream``, is written by hand in ``_bridge``."""

HEADER = "# Generated from {source} by inferencekey/_codegen/generate.py.\n"

WORDS = (
    (re.compile(r"\bAsync(?=[A-Z])"), ""),
    (re.compile(r"``async (for|with)"), r"``\1"),
    (re.compile(r"\baclose\b"), "close"),
    (re.compile(r"``__anext__``"), "``__next__``"),
    (
        re.compile(
            r"; ``await`` opens it now, so that\s+what the server refuses raises here and not in the loop"
        ),
        "; it is open when this returns:\n        what the server refuses raises here and not in the loop",
    ),
    (re.compile(r"; ``await`` opens it without reading"), "; it is open from the start"),
    (re.compile(r"in the caller's task or thread"), "in the calling thread"),
    (re.compile(r", once per event loop"), ", on the SDK's own event loop"),
)


def sync_text(text: str) -> str:
    """Return documentation or an annotation in sync words."""
    for pattern, word in WORDS:
        text = pattern.sub(word, text)
    return text


def code(node: cst.CSTNode) -> str:
    return cst.Module(body=[]).code_for_node(node)


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
    def module(self) -> str:
        """Its dotted name."""
        return dotted(self.path)

    @property
    def sync_module(self) -> str:
        """The dotted name of the sync module."""
        return dotted(self.target)

    @property
    def classes(self) -> list[cst.ClassDef]:
        return [item for item in self.tree.body if isinstance(item, cst.ClassDef)]

    @property
    def public_classes(self) -> list[cst.ClassDef]:
        names = [node.name.value for node in self.classes]
        return [
            node
            for node, name in zip(self.classes, names, strict=True)
            if name.startswith("Async") and name != BASE
        ]


def dotted(path: PurePosixPath) -> str:
    parts = path.with_suffix("").parts
    return ".".join(("inferencekey", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def files_of(room: str) -> list[PurePosixPath]:
    """Return the files of every package and module with this name, below ``inferencekey``."""
    found = (PurePosixPath(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
    return sorted(path for path in found if room in path.with_suffix("").parts)


def sources() -> list[Source]:
    """Return every async module."""
    return [
        Source(path, cst.parse_module((PACKAGE / path).read_text(encoding="utf-8")))
        for path in files_of("_async")
    ]


def decorators(function: cst.FunctionDef) -> set[str]:
    return {code(decorator.decorator) for decorator in function.decorators}


def docstring(node: cst.ClassDef | cst.FunctionDef, indent: str) -> str:
    text = node.get_docstring(clean=False)
    return "" if text is None else f'{indent}"""{sync_text(text)}"""\n'


def own_methods(node: cst.ClassDef) -> list[cst.FunctionDef]:
    return [item for item in node.body.body if isinstance(item, cst.FunctionDef)]


def lineage(node: cst.ClassDef, known: Mapping[str, cst.ClassDef]) -> list[cst.ClassDef]:
    """Return a class and its bases in async modules, in the order in which Python looks methods up."""
    found = [node]
    for base in node.bases:
        parent = known.get(code(base.value))
        if parent is not None:
            found += lineage(parent, known)
    # A base that several classes share comes after all of them.
    return [item for index, item in enumerate(found) if item not in found[index + 1 :]]


def is_stream(node: cst.ClassDef) -> bool:
    return any(code(base.value).startswith(f"{BASE}[") for base in node.bases)


def arguments(function: cst.FunctionDef) -> list[str]:
    """Return how to pass every parameter on."""
    parameters = function.params
    passed = [p.name.value for p in (*parameters.posonly_params, *parameters.params)][1:]
    passed += [f"{p.name.value}={p.name.value}" for p in parameters.kwonly_params]
    if parameters.star_kwarg is not None:
        passed.append(f"**{parameters.star_kwarg.name.value}")
    return passed


def signature(function: cst.FunctionDef, name: str) -> str:
    """Return the ``def`` line, with sync names in its annotations."""
    head = code(
        function.with_changes(
            asynchronous=None,
            decorators=[],
            leading_lines=[],
            name=cst.Name(name),
            body=cst.SimpleStatementSuite([cst.Pass()]),
        )
    )
    return sync_text(head.removesuffix("pass\n").rstrip()) + "\n"


def indented(text: str) -> str:
    return "".join(
        f"    {line}" if line.strip() and number == 0 else line
        for number, line in enumerate(text.splitlines(True))
    )


class Generated:
    """One generated class.

    Args:
        node: the async class.
        methods: its methods, inherited ones included.
        streams: the names of the async streams.
        wrapped: the names of other async classes that methods return.
        public: the names of all async classes.
    """

    def __init__(
        self,
        node: cst.ClassDef,
        methods: Sequence[cst.FunctionDef],
        streams: set[str],
        wrapped: set[str],
        public: set[str],
    ) -> None:
        self.node = node
        self.methods = methods
        self.original = node.name.value
        self.name = sync_text(self.original)
        self.streams = streams
        self.wrapped = wrapped
        self.public = public

    def text(self) -> str:
        if is_stream(self.node):
            item = (
                code(next(b.value for b in self.node.bases))
                .removeprefix(f"{BASE}[")
                .removesuffix("]")
            )
            head = f"class {self.name}(SyncStream[{item}]):\n{docstring(self.node, '    ')}\n    _async: {self.original}\n"
        else:
            head = (
                f"class {self.name}:\n{docstring(self.node, '    ')}\n    _async: {self.original}\n"
            )
        parts = [part for method in self.methods if (part := self.method(method))]
        return "\n".join([head, *parts])

    def method(self, function: cst.FunctionDef) -> str:
        name = function.name.value
        if name == "__init__":
            return self.constructor(function)
        if name == "__repr__":
            return '    def __repr__(self) -> str:\n        return repr(self._async).replace("Async", "", 1)\n'
        if name == "__aenter__":
            return "    def __enter__(self) -> Self:\n        return self\n"
        if name == "__aexit__":
            return indented(signature(function, "__exit__")) + "        self.close()\n"
        if name.startswith("_"):
            return ""
        marks = decorators(function)
        if "classmethod" in marks:
            return self.alternative(function)
        if "property" in marks:
            return (
                "    @property\n"
                + indented(signature(function, name))
                + docstring(function, " " * 8)
                + f"        return self._async.{name}\n"
            )
        return self.delegation(function)

    def constructor(self, function: cst.FunctionDef) -> str:
        if is_stream(self.node):
            return (
                f"    def __init__(self, stream: {self.original}) -> None:\n"
                "        super().__init__(stream)\n        self._async = stream\n"
            )
        if self.original in self.wrapped:
            return f"    def __init__(self, endpoint: {self.original}) -> None:\n        self._async = endpoint\n"
        call = ", ".join(arguments(function))
        # A class that works with a client takes a sync one, and gives the async one behind it on.
        for parameter in (*function.params.params, *function.params.kwonly_params):
            annotation = parameter.annotation
            if annotation is not None and code(annotation.annotation) in self.public:
                name = parameter.name.value
                call = re.sub(rf"\b{name}$|\b{name}(?=,)", f"{name}._async", call)
        return (
            indented(signature(function, "__init__"))
            + f"        self._async = {self.original}({call})\n"
        )

    def alternative(self, function: cst.FunctionDef) -> str:
        name = function.name.value
        return (
            "    @classmethod\n"
            + indented(signature(function, name))
            + docstring(function, " " * 8)
            + "        made = cls.__new__(cls)\n"
            + f"        made._async = {self.original}.{name}({', '.join(arguments(function))})\n"
            + "        return made\n"
        )

    def delegation(self, function: cst.FunctionDef) -> str:
        name = function.name.value
        head = indented(signature(function, sync_text(name))) + docstring(function, " " * 8)
        passed = arguments(function)
        if function.asynchronous is not None:
            call = f"run({', '.join([f'self._async.{name}', *passed])})"
        else:
            call = f"self._async.{name}({', '.join(passed)})"
            returned = "" if function.returns is None else code(function.returns.annotation)
            if returned in self.streams | self.wrapped:
                call = f"{sync_text(returned)}({call})"
        gives = function.returns is None or code(function.returns.annotation) != "None"
        return head + f"        {'return ' if gives else ''}{call}\n"


def inherited(nodes: Sequence[cst.ClassDef]) -> list[cst.FunctionDef]:
    """Return the methods of a class and its bases, the constructor first."""
    found: dict[str, cst.FunctionDef] = {}
    for node in nodes:
        for method in own_methods(node):
            found.setdefault(method.name.value, method)
    return sorted(found.values(), key=lambda method: method.name.value != "__init__")


def local_name(alias: cst.ImportAlias) -> str:
    return alias.evaluated_alias or alias.evaluated_name


def renamed(alias: cst.ImportAlias) -> str:
    own = alias.evaluated_alias
    return alias.evaluated_name if own is None else f"{alias.evaluated_name} as {own}"


def used_names(body: str) -> set[str]:
    """Return the names that code refers to; what only a docstring mentions is not among them."""
    return {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}


def imports_of(source: Source, used: set[str]) -> set[str]:
    """Return the imports of a source whose names the generated body uses."""
    lines: set[str] = set()
    for statement in source.tree.body:
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
            lines |= {
                f"{head} {renamed(alias)}" for alias in item.names if local_name(alias) in used
            }
    return lines


def generate() -> dict[str, str]:
    """Return every sync module: paths below ``inferencekey`` and contents, before formatting."""
    read = sources()
    home = {node.name.value: source for source in read for node in source.classes}
    known = {node.name.value: node for source in read for node in source.classes}
    public = {node.name.value: node for source in read for node in source.public_classes}
    ancestors = {name: lineage(node, known) for name, node in public.items()}
    methods = {name: inherited(nodes) for name, nodes in ancestors.items()}
    streams = {name for name, node in public.items() if is_stream(node)}
    # Classes that a method returns: they wrap what they are given instead of making it.
    returned = {
        code(method.returns.annotation)
        for of_class in methods.values()
        for method in of_class
        if method.returns is not None
    }
    wrapped = (returned & set(public)) - streams
    files = {
        "_sync/__init__.py": HEADER.format(source="inferencekey/_async")
        + '"""The async API\'s classes for code that does not await. Generated."""\n'
    }
    for source in read:
        own = [node.name.value for node in source.public_classes]
        if not own:
            continue
        body = "\n\n".join(
            Generated(public[name], methods[name], streams, wrapped, set(public)).text()
            for name in own
        )
        origins = {
            home[node.name.value].path: home[node.name.value] for n in own for node in ancestors[n]
        }
        used = used_names(body)
        lines: set[str] = set()
        for origin in origins.values():
            lines |= imports_of(origin, used)
        for name in public:
            plain = sync_text(name)
            if name in own:
                lines.add(f"from {home[name].module} import {name}")
            elif plain in used:
                lines.add(f"from {home[name].sync_module} import {plain}")
        bridge = sorted({"SyncStream", "run"} & used)
        lines.add(f"from inferencekey._bridge import {', '.join(bridge)}")
        doc = source.tree.get_docstring(clean=False) or ""
        files[str(source.target)] = "\n".join(
            [
                HEADER.format(source=f"inferencekey/{source.path}") + f'"""{sync_text(doc)}"""\n',
                "\n".join(["from __future__ import annotations", "", *sorted(lines)]) + "\n",
                f"__all__ = {sorted(sync_text(name) for name in own)!r}\n\n",
                body,
            ]
        )
    return files


def formatted(files: dict[str, str]) -> dict[str, str]:
    """Return the files as the linter wants them, so that what is compared is what is committed."""
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in files.items():
            (root / name).parent.mkdir(exist_ok=True, parents=True)
            (root / name).write_text(text, encoding="utf-8", newline="\n")
        ruff = [sys.executable, "-m", "ruff"]
        config = ["--config", str(PACKAGE.parent / "pyproject.toml"), "--no-cache", "--quiet"]
        subprocess.run([*ruff, "check", "--select", "I", "--fix", *config, folder], check=True)  # noqa: S603
        subprocess.run([*ruff, "format", *config, folder], check=True)  # noqa: S603
        return {name: (root / name).read_text(encoding="utf-8") for name in files}


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the sync modules from the async ones.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if what is there differs"
    )
    check: bool = parser.parse_args().check
    files = formatted(generate())
    there = {str(path): (PACKAGE / path).read_bytes() for path in files_of("_sync")}
    wanted = {name: text.encode() for name, text in files.items()}
    stale = sorted(
        name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name)
    )
    if not stale:
        print(f"the sync modules are up to date ({len(wanted)} files)")
        return 0
    if check:
        print(
            f"the sync modules differ from what the async ones give: {', '.join(stale)}. Run {Path(__file__).name}."
        )
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
