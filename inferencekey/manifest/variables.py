"""``${VAR}`` in a manifest's strings.

``${VAR}`` is the variable's value. ``${VAR:-text}`` is the same, and ``text`` if the variable is
not set or empty. ``$${`` is a plain ``${``. A ``$`` before anything else is itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from inferencekey._core.control.specs import SECRET
from inferencekey.credentials import contains_token_start
from inferencekey.printable import surrogate_in

__all__ = ["escaped", "expanded"]

_REFERENCE: Final = re.compile(
    r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}|(?P<wrong>[^}\n]*\}?))"
)


def expanded(
    text: str, environ: Mapping[str, str], *, command: bool = False
) -> tuple[str, tuple[str, ...]]:
    """Replace the variables of a string.

    Args:
        text: a string of the manifest.
        environ: the variables.
        command: it is an engine's command, in which the platform fills in the port and the host.

    Returns:
        The result, and what is wrong with its variables, one text each.
    """
    problems: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        value, problem = _value(match, environ, command)
        if problem is not None:
            problems.append(problem)
        return match[0] if value is None else value

    return _REFERENCE.sub(replaced, text), tuple(problems)


def _value(
    match: re.Match[str], environ: Mapping[str, str], command: bool
) -> tuple[str | None, str | None]:
    """Return the value of one reference, and what is wrong with it."""
    name, default = match["name"], match["default"]
    if name is None:
        return None, (
            f"{match[0]} is not a variable such as ${{NAME}} or ${{NAME:-default}}; "
            f"for the plain text, write ${match[0]}"
        )
    value = environ.get(name)
    if default is not None and not value:
        if "${" in default:
            problem = f"{match[0]} … has another variable in its default, which is not supported"
            return default[2:], problem
        return default[2:], None
    if value is None:
        return None, f"the variable {name} is not set; {_way_out(name, command)}"
    if surrogate_in(value):
        return None, f"the variable {name} has bytes that are not UTF-8; set it to text in UTF-8"
    if contains_token_start(value):
        return None, f"the variable {name} contains a token; {SECRET}"
    return value, None


def _way_out(name: str, command: bool) -> str:
    if command and name in ("PORT", "HOST"):
        return f"to use the platform's own, write {{{name.lower()}}} or $${{{name}}}"
    return f"set it, or write ${{{name}:-default}}"


def escaped(text: str) -> str:
    """Return the string that :func:`expanded` turns into *text*."""
    return text.replace("${", "$${")
