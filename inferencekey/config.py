"""Where settings come from (arguments, then environment, then defaults), and what a token is.

The table of variables and the rules for tokens are the platform contract's; see ``docs/contract.md``.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from typing import Literal
from urllib.parse import urlsplit

from inferencekey.errors import ConfigurationError, PermissionDenied

__all__ = [
    "DEFAULT_BASE_URL",
    "base_url",
    "check_data_key",
    "check_sdk_token",
    "from_environment",
    "is_http_url",
    "is_loopback",
    "is_secret",
    "plain_aiohttp",
    "plain_aiohttp_notice",
    "redact",
    "redact_token",
    "setting",
    "token_kind",
]

DEFAULT_BASE_URL = "https://api.inferencekey.com"

BASE_URL_VARIABLE = "INFERENCEKEY_BASE_URL"
PROJECT_VARIABLE = "INFERENCEKEY_PROJECT"
SDK_TOKEN_VARIABLE = "INFERENCEKEY_SDK_TOKEN"  # noqa: S105 (a name, not a token)
API_KEY_VARIABLE = "INFERENCEKEY_API_KEY"

PLAIN_AIOHTTP_VARIABLE = "INFERENCEKEY_PLAIN_AIOHTTP"

TESTED_AIOHTTP = ("3.14",)
"""The minor versions of aiohttp that the tests have run with: its internals are used there only."""

TokenKind = Literal["sdk", "live"]

_FOUR_PARTS = re.compile(r"ik_([a-z]+)_([A-Za-z0-9]+)_([A-Za-z0-9]+)\Z")
# Wider than a token's alphabet: what only looks like one must not leave its tail behind. What is redacted already stays.
_IN_TEXT = re.compile(
    r"ik_(?:live|sdk)_(?![A-Za-z0-9]{1,8}…)[A-Za-z0-9_\-]+(?:[+/=.~%]+[A-Za-z0-9_\-]+)*"
)


def from_environment(variable: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the variable's value; a blank one counts as absent."""
    value = (os.environ if environ is None else environ).get(variable, "").strip()
    return value or None


def setting(
    argument: str | None, variable: str, environ: Mapping[str, str] | None = None
) -> str | None:
    """Return the explicit argument if it is not blank, else the variable."""
    if argument is not None and argument.strip():
        return argument.strip()
    return from_environment(variable, environ)


def base_url(argument: str | None, environ: Mapping[str, str] | None = None) -> str:
    """Return the base URL without trailing slashes.

    Raises:
        ConfigurationError: it is not an absolute http or https URL, or carries credentials, a query or a fragment.
    """
    url = (setting(argument, BASE_URL_VARIABLE, environ) or DEFAULT_BASE_URL).rstrip("/")
    if not is_http_url(url) or any(mark in url for mark in "@?#"):
        raise ConfigurationError.of(
            f"base_url must be like https://host or http://127.0.0.1:4747; got {_without_userinfo(url)!r}. "
            f"Pass base_url= or set {BASE_URL_VARIABLE}."
        )
    return url


def is_http_url(url: str) -> bool:
    """Say whether this is an absolute http or https URL: with a host, a possible port, and nothing unprintable in it."""
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return False
    return usable and not any(ord(c) <= 32 or ord(c) == 127 for c in url)


def _without_userinfo(url: str) -> str:
    return redact(re.sub(r"(?s)\A([A-Za-z][A-Za-z0-9+.\-]*://)?.*@", r"\1…@", url))


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by name or by address."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def token_kind(token: str) -> TokenKind | None:
    """Return which plane a token is for, by its prefix; ``None`` for anything else."""
    if token.startswith("ik_sdk_"):
        return "sdk"
    if token.startswith("ik_live_"):
        return "live"
    return None


def redact_token(token: str) -> str:
    """Return ``ik_<kind>_<first 8 of id>…``, or ``ik…`` for anything not of the full four-part shape."""
    match = _FOUR_PARTS.match(token)
    return f"ik_{match[1]}_{match[2][:8]}…" if match else "ik…"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return *text* with every token in it redacted, and every one of *secrets*, whatever its shape."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, redact_token(secret))
    return _IN_TEXT.sub(lambda match: redact_token(match[0]), text)


def is_secret(text: str) -> bool:
    """Say whether a text *is* a token (begins like one), not merely mentions one."""
    return text.lstrip().startswith(("ik_live_", "ik_sdk_"))


def check_sdk_token(token: str | None) -> str:
    """Return the control token.

    Raises:
        ConfigurationError: none was given, or it is no ``ik_sdk_`` token.
        PermissionDenied: it is a data key (``wrong_credential_type``).
    """
    if token is None:
        raise ConfigurationError(
            f"No ik_sdk_ token configured. Pass sdk_token= or set {SDK_TOKEN_VARIABLE}."
        )
    kind = token_kind(token)
    if kind == "live":
        raise PermissionDenied.of(
            f"{redact_token(token)} is a data key; the management plane requires an ik_sdk_ token",
            code="wrong_credential_type",
        )
    if kind != "sdk":
        raise ConfigurationError.of(
            "the management plane requires an ik_sdk_ token; "
            f"what was given does not begin with ik_sdk_. Pass sdk_token= or set {SDK_TOKEN_VARIABLE}."
        )
    return _printable(token, "sdk_token")


def check_data_key(key: str | None, workload_slug: str) -> str:
    """Return the data key for one workload. Keys of other shapes pass: self-hosted gateways have their own.

    Raises:
        ConfigurationError: none was given.
        PermissionDenied: it is a control token (``wrong_credential_type``).
    """
    if key is None:
        raise ConfigurationError(
            f'No ik_live_ key for workload "{workload_slug}". Pass api_key= or set {API_KEY_VARIABLE}.'
        )
    if token_kind(key) == "sdk":
        raise PermissionDenied.of(
            f"{redact_token(key)} is a control token; the data plane requires an ik_live_ key",
            code="wrong_credential_type",
        )
    return _printable(key, "api_key")


def _printable(token: str, argument: str) -> str:
    # A line break in a header value would let an argument write headers of its own.
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError.of(
            f"{argument} holds characters that no token has (spaces, line breaks or non-ASCII); "
            "copy it again."
        )
    return token


def plain_aiohttp(version: str, environ: Mapping[str, str] | None = None) -> bool:
    """Say whether aiohttp is to be used by its public names only, without our subclasses.

    That is so where ``INFERENCEKEY_PLAIN_AIOHTTP`` is 1, and with a minor version of aiohttp that
    the tests have not run with.

    Args:
        version: aiohttp's.
        environ: the environment, by default the process's.

    Raises:
        ConfigurationError: the variable is neither 1 nor 0.
    """
    value = from_environment(PLAIN_AIOHTTP_VARIABLE, environ)
    if value not in (None, "0", "1"):
        raise ConfigurationError.of(f"{PLAIN_AIOHTTP_VARIABLE} must be 1 or 0; got {value!r}")
    return value == "1" or ".".join(version.split(".")[:2]) not in TESTED_AIOHTTP


_noticed = False


def plain_aiohttp_notice(version: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return what the log should say about ``plain_aiohttp``: a line for the first who asks, then ``None``.

    Both the clients and the local platform log it, and a process may hold both.
    """
    global _noticed
    if _noticed or not plain_aiohttp(version, environ):
        return None
    _noticed = True
    why = f"{PLAIN_AIOHTTP_VARIABLE}=1"
    if from_environment(PLAIN_AIOHTTP_VARIABLE, environ) != "1":
        why = f"aiohttp {version} was not tested with this version of inferencekey"
    return (
        f"plain aiohttp classes are used ({why}): calls cost more, and after a lost connection "
        "less can be recovered; see docs/reliability.md"
    )
