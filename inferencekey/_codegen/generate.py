"""Writes ``inferencekey/_sync`` from ``inferencekey/_async``.

    python inferencekey/_codegen/generate.py            write
    python inferencekey/_codegen/generate.py --check    exit 1 if what is there differs, by file set or by a byte

Run it by path, so that a broken ``_sync`` cannot stop its own regeneration. It reads source text and imports nothing of
the package. Every public method of a public async class becomes a delegation with the same signature and docstring.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import libcst as cst

PACKAGE = Path(__file__).resolve().parent.parent
SOURCE = PACKAGE / "_async"
TARGET = PACKAGE / "_sync"

# Which async files have classes that users hold; the others are machinery.
FILES = ("data.py", "management.py", "readiness.py", "streams.py")

BASE = "AsyncStream"
HEADER = "# Generated from {source} by inferencekey/_codegen/generate.py: edit the source, then run it.\n"

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


def public_classes(module: cst.Module) -> list[cst.ClassDef]:
    return [
        item
        for item in module.body
        if isinstance(item, cst.ClassDef)
        and item.name.value.startswith("Async")
        and item.name.value != BASE
    ]


def decorators(function: cst.FunctionDef) -> set[str]:
    return {code(decorator.decorator) for decorator in function.decorators}


def docstring(node: cst.ClassDef | cst.FunctionDef, indent: str) -> str:
    text = node.get_docstring(clean=False)
    return "" if text is None else f'{indent}"""{sync_text(text)}"""\n'


def methods(node: cst.ClassDef) -> list[cst.FunctionDef]:
    return [item for item in node.body.body if isinstance(item, cst.FunctionDef)]


def is_stream(node: cst.ClassDef) -> bool:
    return any(code(base.value).startswith(f"{BASE}[") for base in node.bases)


def arguments(function: cst.FunctionDef) -> list[str]:
    """Return how to pass every parameter on."""
    parameters = function.params
    passed = [p.name.value for p in (*parameters.posonly_params, *parameters.params)][1:]
    passed += [f"{p.name.value}={p.name.value}" for p in parameters.kwonly_params]
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
    """One generated class."""

    def __init__(self, node: cst.ClassDef, streams: set[str], wrapped: set[str]) -> None:
        self.node = node
        self.original = node.name.value
        self.name = sync_text(self.original)
        self.streams = streams
        self.wrapped = wrapped

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
        parts = [part for method in methods(self.node) if (part := self.method(method))]
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


def renamed(alias: cst.ImportAlias) -> str:
    own = alias.evaluated_alias
    return alias.evaluated_name if own is None else f"{alias.evaluated_name} as {own}"


def imports(module: cst.Module, body: str, own: list[str], elsewhere: dict[str, str]) -> str:
    """Return the source's imports that the generated body still uses, and those of the async originals."""
    lines: list[str] = []
    for statement in module.body:
        if not isinstance(statement, cst.SimpleStatementLine):
            continue
        for item in statement.body:
            if isinstance(item, cst.Import):
                for alias in item.names:
                    used = alias.evaluated_alias or alias.evaluated_name
                    if re.search(rf"\b{re.escape(used)}\.", body):
                        lines.append(f"import {renamed(alias)}")
            elif isinstance(item, cst.ImportFrom) and not isinstance(item.names, cst.ImportStar):
                assert item.module is not None
                source = code(item.module)
                if source.startswith("inferencekey._async"):
                    continue
                for alias in item.names:
                    used = alias.evaluated_alias or alias.evaluated_name
                    if source != "__future__" and re.search(rf"\b{re.escape(used)}\b", body):
                        lines.append(f"from {source} import {renamed(alias)}")
    for name in own:
        lines.append(f"from inferencekey._async.{elsewhere[name]} import {name}")
    for name, stem in elsewhere.items():
        plain = sync_text(name)
        if name not in own and re.search(rf"\b{plain}\b", body):
            lines.append(f"from inferencekey._sync.{stem} import {plain}")
    bridge = [name for name in ("SyncStream", "run") if re.search(rf"\b{name}\b", body)]
    lines.append(f"from inferencekey._bridge import {', '.join(bridge)}")
    return "\n".join(["from __future__ import annotations", "", *sorted(set(lines))])


def generate() -> dict[str, str]:
    """Return the whole of ``_sync``: file names and contents, before formatting."""
    modules = {
        name: cst.parse_module((SOURCE / name).read_text(encoding="utf-8")) for name in FILES
    }
    elsewhere = {
        node.name.value: name[:-3]
        for name, module in modules.items()
        for node in public_classes(module)
    }
    every = {
        node.name.value: node for module in modules.values() for node in public_classes(module)
    }
    streams = {name for name, node in every.items() if is_stream(node)}
    # Classes that a method hands out: they wrap what they are given instead of making it.
    returned = {
        code(method.returns.annotation)
        for node in every.values()
        for method in methods(node)
        if method.returns is not None
    }
    wrapped = (returned & set(every)) - streams
    files = {
        "__init__.py": HEADER.format(source="inferencekey/_async")
        + '"""The async API\'s classes for code that does not await. Generated."""\n'
    }
    for name, module in modules.items():
        nodes = public_classes(module)
        body = "\n\n".join(Generated(node, streams, wrapped).text() for node in nodes)
        own = [node.name.value for node in nodes]
        doc = module.get_docstring(clean=False) or ""
        files[name] = "\n".join(
            [
                HEADER.format(source=f"inferencekey/_async/{name}") + f'"""{sync_text(doc)}"""\n',
                imports(module, body, own, elsewhere) + "\n",
                f"__all__ = {sorted(sync_text(n) for n in own)!r}\n\n",
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
            (root / name).write_text(text, encoding="utf-8", newline="\n")
        ruff = [sys.executable, "-m", "ruff"]
        config = ["--config", str(PACKAGE.parent / "pyproject.toml"), "--no-cache", "--quiet"]
        subprocess.run([*ruff, "check", "--select", "I,F401", "--fix", *config, folder], check=True)  # noqa: S603
        subprocess.run([*ruff, "format", *config, folder], check=True)  # noqa: S603
        return {name: (root / name).read_text(encoding="utf-8") for name in files}


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Write inferencekey/_sync from inferencekey/_async."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if what is there differs"
    )
    check: bool = parser.parse_args().check
    files = formatted(generate())
    there = {path.name: path.read_bytes() for path in TARGET.glob("*") if path.is_file()}
    wanted = {name: text.encode() for name, text in files.items()}
    stale = sorted(
        name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name)
    )
    if not stale:
        print(f"_sync is up to date ({len(wanted)} files)")
        return 0
    if check:
        print(
            f"_sync differs from what _async gives: {', '.join(stale)}. Run {Path(__file__).name}."
        )
        return 1
    TARGET.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (TARGET / name).unlink()
    for name, data in wanted.items():
        (TARGET / name).write_bytes(data)
    print(f"wrote {', '.join(stale)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
