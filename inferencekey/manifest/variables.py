"""``${VAR}`` in a manifest's texts.

``${VAR}`` is the variable's value, ``${VAR:-text}`` the text where the variable is not set or empty, ``$${`` a plain
``${``. A ``$`` before anything else is itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from inferencekey._core.control.specs import SECRET
from inferencekey.credentials import contains_token_start

__all__ = ["escaped", "expanded"]

_REFERENCE: Final = re.compile(
    r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}|(?P<wrong>[^}\n]*\}?))"
)


def expanded(
    text: str, environ: Mapping[str, str], *, command: bool = False
) -> tuple[str, tuple[str, ...]]:
    """Return the text with its variables in place, and what is wrong with them, each in words.

    Args:
        text: a text of the manifest.
        environ: the variables.
        command: it is an engine's command, which the platform tells where to listen.
    """
    wrong: list[str] = []

    def one(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            wrong.append(
                f"{match[0]} is not a variable such as ${{NAME}} or ${{NAME:-default}}; write ${match[0]} for the text itself"
            )
            return match[0]
        value = environ.get(name)
        if default is not None and not value:
            if "${" in default:
                wrong.append(f"{match[0]} … has a variable in its default, which is not supported")
            return default[2:]
        if value is None:
            theirs = command and name in ("PORT", "HOST")
            instead = (
                f"for the platform's own write {{{name.lower()}}} or $${{{name}}}" if theirs else ""
            )
            wrong.append(
                f"the variable {name} is not set; {instead or f'set it, or write ${{{name}:-default}}'}"
            )
            return match[0]
        if contains_token_start(value):
            wrong.append(f"the variable {name} holds a token; {SECRET}")
            return match[0]
        return value

    return _REFERENCE.sub(one, text), tuple(wrong)


def escaped(text: str) -> str:
    """Return the text that :func:`expanded` turns into *text*."""
    return text.replace("${", "$${")
