"""The command that installs a missing part of this package, for error messages.

PyPI serves another program under the name ``inferencekey``, with the same import name. The command
``pip install 'inferencekey[local]'`` would replace this package by that program. So the command
names the checkout or the wheel that this package was installed from, which the installer records in
``direct_url.json`` (PEP 610).

This module is imported only when something is missing.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from inferencekey import __version__

__all__ = ["install_command", "missing_message", "other_program"]

NAME = "inferencekey"
SOURCE = "CHECKOUT_OR_WHEEL"


def missing_message(need: str, extras: str) -> str:
    """Return the message about a missing module.

    Args:
        need: who needs what, such as ``"this command needs rich"``.
        extras: the extras of this package that bring the module.
    """
    return f"{need}, which is not installed; run: {install_command(extras)}"


def install_command(extras: str, installed: Distribution | None = None) -> str:
    """Return the command that installs this package with some of its extras, as one line.

    Args:
        extras: the extras, such as ``"cli,local"``.
        installed: the distribution's metadata; default: that of this environment.
    """
    found = installed or _installed()
    program = _installer(found)
    record = _direct_url(found)
    requirement = None if record is None else _requirement(record, extras)
    if requirement is not None:
        return f"{program} install {requirement}"
    hint = (
        f"{program} install '{SOURCE}[{extras}]', where {SOURCE} is the path that inferencekey was "
        "installed from (the inferencekey of PyPI is another program)"
    )
    other = other_program(found)
    return hint if other is None else f"{hint}. {other}"


def other_program(installed: Distribution | None = None) -> str | None:
    """Return a warning if the installed package is the other program of this name, else ``None``.

    Both programs install into the same folder, so an import may load a mixture of the two.
    """
    found = installed or _installed()
    # The other program comes from an index, so it has no direct_url.json. The version alone is not
    # enough: an editable checkout may be newer than its metadata.
    if found is None or found.version == __version__ or _direct_url(found) is not None:
        return None
    return (
        f"This is inferencekey {__version__}, but the installed package of that name is version "
        f"{found.version}, another program. Remove it with: {_installer(found)} uninstall {NAME}"
    )


def _installed() -> Distribution | None:
    try:
        return distribution(NAME)
    except PackageNotFoundError:
        return None


def _installer(found: Distribution | None) -> str:
    text = "" if found is None else found.read_text("INSTALLER") or ""
    # uv makes environments without pip.
    return "uv pip" if text.strip() == "uv" else "pip"


def _direct_url(found: Distribution | None) -> dict[str, Any] | None:
    text = None if found is None else found.read_text("direct_url.json")
    with suppress(ValueError):
        record: Any = json.loads(text or "null")
        match cast("object", record):
            case {"url": str()}:
                return cast("dict[str, Any]", record)
            case _:
                pass
    return None


def _requirement(record: dict[str, Any], extras: str) -> str | None:
    """Return the argument of ``install``; ``None`` if the source no longer exists."""
    match record:
        case {"url": str(url), "vcs_info": {"vcs": str(vcs), "commit_id": str(commit)}}:
            return _quoted(f"{NAME}[{extras}] @ {vcs}+{url}@{commit}")
        case _:
            url = str(record["url"])
    parts = urlsplit(url)
    if parts.scheme != "file":
        return _quoted(f"{NAME}[{extras}] @ {url}")
    path = Path(url2pathname(parts.path))
    if not path.exists():
        return None
    word = _quoted(f"{path}[{extras}]")
    match record:
        case {"dir_info": {"editable": True}}:
            return f"-e {word}"
        case _:
            return word


def _quoted(word: str) -> str:
    return subprocess.list2cmdline([word]) if sys.platform == "win32" else shlex.quote(word)
