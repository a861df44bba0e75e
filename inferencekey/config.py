"""Every environment variable and default of the package, and how each is read.

:data:`VARIABLES` is the list; ``docs/configuration.md`` has the same table, and a test compares
them. The four variables of the platform's contract are in ``docs/contract.md`` too.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote, urlsplit

from inferencekey.credentials import (
    TokenKind,
    is_secret,
    redact,
    redact_token,
    redact_userinfo,
    token_kind,
)
from inferencekey.errors import ConfigurationError, PermissionDenied

__all__ = [
    "API_KEY",
    "BASE_URL",
    "CACHE",
    "DEFAULT_BASE_URL",
    "ENGINE_ENV",
    "ENGINE_KEY",
    "LOCAL_PROGRAMS",
    "LOG",
    "PLAIN_AIOHTTP",
    "PROJECT",
    "SDK_TOKEN",
    "UVLOOP",
    "VARIABLES",
    "TokenKind",
    "Variable",
    "base_url",
    "check_data_key",
    "check_sdk_token",
    "checked_url",
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
    "uses_uvloop",
]

DEFAULT_BASE_URL = "https://api.inferencekey.com"

T = TypeVar("T")

TESTED_AIOHTTP: Final = ("3.14",)
"""The minor versions of aiohttp that the tests have run with.

Private names of aiohttp are used with these versions only.
"""


class Variable(Generic[T]):
    """One environment variable.

    Args:
        name: its name.
        meaning: what it is for, in a sentence.
        default: the value without it.
        parse: makes the value from the variable's text, which is not blank.
        shown_default: the default in the documentation, if the value alone does not say it.
    """

    def __init__(
        self,
        name: str,
        meaning: str,
        default: T,
        parse: Callable[[str], T],
        *,
        shown_default: str | None = None,
    ) -> None:
        self.name = name
        self.meaning = meaning
        self.default = default
        self.shown_default = shown_default or ("none" if default is None else f"`{default}`")
        self._parse = parse

    def read(self, environ: Mapping[str, str] | None = None) -> T:
        """Return the variable's value; a blank variable counts as absent.

        Args:
            environ: default ``os.environ``.

        Raises:
            ConfigurationError: the text is not one of those that the variable allows.
        """
        text = from_environment(self.name, environ)
        return self.default if text is None else self._parse(text)


def from_environment(variable: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the variable's text; a blank one counts as absent."""
    value = (os.environ if environ is None else environ).get(variable, "").strip()
    return value or None


def setting(
    argument: str | None, variable: str, environ: Mapping[str, str] | None = None
) -> str | None:
    """Return the explicit argument if it is not blank, else the variable."""
    if argument is not None and argument.strip():
        return argument.strip()
    return from_environment(variable, environ)


def _text(text: str) -> str:
    return text


def _switch(text: str) -> bool:
    return text.lower() not in ("0", "off", "no", "false")


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


LogLevel = Literal["debug", "info"]


def _log_level(text: str) -> LogLevel | None:
    match text.lower():
        case "debug":
            return "debug"
        case "info":
            return "info"
        case "off" | "0" | "none":
            return None
        case other:
            raise ConfigurationError.of(
                f"INFERENCEKEY_LOG must be debug, info or off; got {redact(other)!r}"
            )


BASE_URL: Final = Variable(
    "INFERENCEKEY_BASE_URL",
    "The platform's URL, for both clients.",
    DEFAULT_BASE_URL,
    _text,
)
PROJECT: Final = Variable[str | None](
    "INFERENCEKEY_PROJECT",
    "The project, for both clients.",
    None,
    _text,
)
SDK_TOKEN: Final = Variable[str | None](
    "INFERENCEKEY_SDK_TOKEN",
    "The control token of the management client; it begins with `ik_sdk_`.",
    None,
    _text,
)
API_KEY: Final = Variable[str | None](
    "INFERENCEKEY_API_KEY",
    "The data key of the data client; it begins with `ik_live_`.",
    None,
    _text,
)
LOG: Final = Variable[LogLevel | None](
    "INFERENCEKEY_LOG",
    "With `debug` or `info`, the log is written to stderr. With `off`, it is not.",
    None,
    _log_level,
    shown_default="`off`",
)
UVLOOP: Final = Variable(
    "INFERENCEKEY_UVLOOP",
    "With `0`, uvloop is not used, even if it is installed.",
    True,
    _switch,
    shown_default="uvloop is used if it is installed",
)
PLAIN_AIOHTTP: Final = Variable(
    "INFERENCEKEY_PLAIN_AIOHTTP",
    "With `1`, only aiohttp's own classes are used, as with a version of aiohttp that was not "
    "tested.",
    False,
    _switch,
    shown_default="`0`",
)
CACHE: Final = Variable[str | None](
    "INFERENCEKEY_CACHE",
    "The directory for the models that the local platform downloads.",
    None,
    _text,
    shown_default="the user's cache directory",
)
ENGINE_ENV: Final = Variable[frozenset[str]](
    "INFERENCEKEY_ENGINE_ENV",
    "Names of variables, separated by commas, that the local platform also passes to engines that "
    "you installed. An example is `HF_TOKEN`, for models with restricted access.",
    frozenset(),
    _names,
    shown_default="none",
)
LOCAL_PROGRAMS: Final = Variable[bool | None](
    "INFERENCEKEY_LOCAL_PROGRAMS",
    "With `1`, the local platform runs the commands of workloads; with `0`, it does not.",
    None,
    _switch,
    shown_default="`1` if only this computer can connect to it, else `0`",
)
ENGINE_KEY: Final = Variable[str | None](
    "INFERENCEKEY_ENGINE_KEY",
    "Internal: the local platform sets it for the engines that it starts. Do not set it.",
    None,
    _text,
)

VARIABLES: Final[tuple[Variable[Any], ...]] = (
    BASE_URL,
    PROJECT,
    SDK_TOKEN,
    API_KEY,
    LOG,
    UVLOOP,
    PLAIN_AIOHTTP,
    CACHE,
    ENGINE_ENV,
    LOCAL_PROGRAMS,
    ENGINE_KEY,
)
"""Every variable of the package."""

BASE_URL_VARIABLE = BASE_URL.name
PROJECT_VARIABLE = PROJECT.name
SDK_TOKEN_VARIABLE = SDK_TOKEN.name
API_KEY_VARIABLE = API_KEY.name


def uses_uvloop() -> bool:
    """Whether this package starts uvloop's event loops: it is installed and not refused."""
    return UVLOOP.read() and importlib.util.find_spec("uvloop") is not None


def base_url(argument: str | None, environ: Mapping[str, str] | None = None) -> str:
    """Return the base URL without trailing slashes, in ASCII.

    A host of other characters becomes punycode, and a path of others is percent-encoded.

    Raises:
        ConfigurationError: it is not an absolute http or https URL, it has credentials, a query or
            a fragment, or it is the URL of an endpoint.
    """
    given = (setting(argument, BASE_URL.name, environ) or BASE_URL.default).rstrip("/")
    hint = f"Pass base_url= or set {BASE_URL.name}."
    examples = "https://host or http://127.0.0.1:4747"
    url = checked_url(given, "base_url", examples=examples, hint=hint, refused="@?#")
    parts = urlsplit(url)
    steps = parts.path.lower().split("/")
    if steps[-1] == "v1" or "endpoint" in steps:
        # Other SDKs are given the URL of an endpoint. Here its path is added for each call.
        raise ConfigurationError.of(
            "base_url must be the address of the platform, without /endpoint/… and without /v1: "
            "the client adds /endpoint/<project>/<workload>/v1 to it; "
            f"got {redact_userinfo(url)!r}. {hint}"
        )
    try:
        return _in_ascii(url)
    except ValueError:
        raise ConfigurationError.of(
            f"base_url has a host that is no host name; got {redact_userinfo(url)!r}. {hint}"
        ) from None


def _in_ascii(url: str) -> str:
    """Return a URL with its host in punycode and its path percent-encoded.

    Raises:
        ValueError: the host is no host name.
    """
    parts = urlsplit(url)
    netloc = parts.netloc
    if not netloc.isascii():
        # Loaded for such hosts only: every client has a base URL, and few need it.
        from yarl import URL

        port = "" if parts.port is None else f":{parts.port}"
        netloc = f"{URL(f'http://{parts.hostname}').raw_host}{port}"
    path = quote(_STRAY_PERCENT.sub("%25", parts.path), safe="/%:@!$&'()*+,;=~")
    return f"{url.partition('://')[0]}://{netloc}{path}"


_STRAY_PERCENT: Final = re.compile("%(?![0-9A-Fa-f]{2})")


def checked_url(url: str, argument: str, *, examples: str, hint: str, refused: str = "") -> str:
    """Return an absolute http or https URL.

    Args:
        url: the URL.
        argument: what it was given as, for the message.
        examples: URLs as they should be, for the message.
        hint: what to do, for the message.
        refused: characters that must not be in it.

    Raises:
        ConfigurationError: it is something else, or has one of the refused characters. The message
            does not show a password.
    """
    if not is_http_url(url) or any(mark in url for mark in refused):
        raise ConfigurationError.of(
            f"{argument} must be like {examples}; got {redact_userinfo(url)!r}. {hint}"
        )
    return url


def is_http_url(url: str) -> bool:
    """Whether this is an absolute http or https URL with a host, and printable throughout."""
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return False
    # White space, control characters and lone surrogates are in no URL.
    return usable and not any(c.isspace() or unicodedata.category(c) in ("Cc", "Cs") for c in url)


def is_loopback(host: str) -> bool:
    """Whether a host is this computer, by its name or by its address."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def check_sdk_token(token: str | None) -> str:
    """Return the control token.

    Raises:
        ConfigurationError: there is none, or it is not an ``ik_sdk_`` token.
        PermissionDenied: it is a data key (``wrong_credential_type``).
    """
    if token is None:
        raise ConfigurationError(
            f"No ik_sdk_ token configured. Pass sdk_token= or set {SDK_TOKEN.name}."
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
            f"the given token does not begin with ik_sdk_. Pass sdk_token= or set {SDK_TOKEN.name}."
        )
    return _printable(token, "sdk_token")


def check_data_key(key: str | None, workload_slug: str) -> str:
    """Return the data key for one workload.

    Keys of other forms are accepted, because self-hosted gateways have keys of their own.

    Raises:
        ConfigurationError: there is none.
        PermissionDenied: it is a control token (``wrong_credential_type``).
    """
    if key is None:
        raise ConfigurationError(
            f'No ik_live_ key for workload "{workload_slug}". Pass api_key= or set {API_KEY.name}.'
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
            f"{argument} contains characters that a token cannot have "
            "(spaces, line breaks or non-ASCII); copy it again."
        )
    return token


def plain_aiohttp(version: str, environ: Mapping[str, str] | None = None) -> bool:
    """Say whether only public names of aiohttp are used, without our subclasses.

    That is so if ``INFERENCEKEY_PLAIN_AIOHTTP`` is 1, and with a minor version of aiohttp that the
    tests have not run with.

    Args:
        version: the version of aiohttp.
        environ: the environment; by default the process's.
    """
    minor = ".".join(version.split(".")[:2])
    return PLAIN_AIOHTTP.read(environ) or minor not in TESTED_AIOHTTP


_noticed = False


def plain_aiohttp_notice(version: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the log line about ``plain_aiohttp`` for the first caller; then ``None``.

    Both the clients and the local platform log it, and one process may have both.
    """
    global _noticed
    if _noticed or not plain_aiohttp(version, environ):
        return None
    _noticed = True
    reason = f"{PLAIN_AIOHTTP.name}=1"
    if not PLAIN_AIOHTTP.read(environ):
        reason = f"aiohttp {version} was not tested with this version of inferencekey"
    return (
        f"plain aiohttp classes are used ({reason}): calls cost more, and after a lost connection "
        "less can be recovered; see docs/reliability.md"
    )
