"""Counts the package's files and functions: the table of architecture.md.

    python docs/count_code.py [DIRECTORY]

A function's lines are those from its first decorator to its last statement. Complexity is
cyclomatic: one, plus one for each branch, loop, handler, condition and boolean operand.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median

BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.Assert,
    ast.comprehension,
    ast.match_case,
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    """Yield every function of a module, nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of the functions and classes inside it."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def complexity(function: Function) -> int:
    """Return the cyclomatic complexity of one function."""
    count = 1
    for node in own_nodes(function):
        if isinstance(node, BRANCHES):
            count += 1
        elif isinstance(node, ast.BoolOp):
            count += len(node.values) - 1
    return count


def length(function: Function) -> int:
    """Return the lines of one function, decorators included."""
    first = min([function.lineno, *(one.lineno for one in function.decorator_list)])
    return (function.end_lineno or first) - first + 1


def main() -> None:
    """Print the table's figures."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "inferencekey")
    files = [path for path in root.rglob("*.py") if "_sync" not in path.parts]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    every = [one for text in texts.values() for one in functions(ast.parse(text))]
    complexities = [complexity(one) for one in every]
    folders: dict[Path, int] = {}
    for path in files:
        folders[path.parent] = folders.get(path.parent, 0) + 1
    fullest = max(folders, key=lambda folder: folders[folder])
    largest = max(lines, key=lambda path: lines[path])
    longest = max(every, key=length)
    too_complex = sum(value > 10 for value in complexities)
    wide = sum(len(line) > 100 for text in texts.values() for line in text.splitlines())
    print(f"files: {len(files)} in {len(folders)} folders")
    print(f"fullest folder: {fullest} with {folders[fullest]} files")
    print(
        f"file, median lines: {median(lines.values()):.0f}; largest: {lines[largest]} ({largest})"
    )
    print(f"functions: {len(every)}")
    print(f"function, median lines: {median(map(length, every)):.0f}", end="; ")
    print(f"largest: {length(longest)} ({longest.name})")
    print(f"complexity, mean: {mean(complexities):.2f}", end="; ")
    print(f"above 10: {too_complex} ({100 * too_complex / len(every):.1f} %)")
    print(f"lines over 100 columns: {wide} ({100 * wide / sum(lines.values()):.1f} %)")


if __name__ == "__main__":
    main()
