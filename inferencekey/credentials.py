"""What a credential looks like, and how it is hidden.

A token of the platform has four parts, joined by ``_``: ``ik``, the kind, the id and the secret.
Minted tokens are ``ik_<kind>_<8 hex>_<64 hex>``, but a server may use other lengths and letters, so
each pattern below is as wide as its use allows. Every module that recognises or hides a token does
it with the functions of this one. The rules for printing are the platform contract's; see
``docs/contract.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from inferencekey.echoes import spans_of

__all__ = [
    "TokenKind",
    "TokenParts",
    "contains_token",
    "contains_token_start",
    "foreign_credentials",
    "format_token",
    "hide_tokens",
    "is_secret",
    "minted_token_parts",
    "redact",
    "redact_hub_tokens",
    "redact_token",
    "redact_userinfo",
    "redacted_token",
    "token_id",
    "token_kind",
]

TokenKind = Literal["sdk", "live"]
"""``sdk`` for the control plane, ``live`` for the data plane."""


class TokenParts(NamedTuple):
    """What may be shown of a token.

    Attributes:
        kind: which plane it is for.
        id: the part that names it.
    """

    kind: TokenKind
    id: str


_PREFIXES: Final[dict[str, TokenKind]] = {"ik_sdk_": "sdk", "ik_live_": "live"}

# Exactly what `format_token` makes of random hex digits.
_MINTED: Final = re.compile(r"ik_(sdk|live)_([0-9a-f]{8})_[0-9a-f]{64}\Z")
# The same, anywhere in a text.
_MINTED_IN_TEXT: Final = re.compile(
    r"ik_(?:sdk|live)_[0-9a-f]{8}_[0-9a-f]{64}(?![A-Za-z0-9_\-+/=.~%])"
)
# All four parts. Any kind, so that the token of a later version is redacted in the same form.
_FOUR_PARTS: Final = re.compile(r"ik_([a-z]+)_([A-Za-z0-9]+)_([A-Za-z0-9]+)\Z")
# Four parts with a long secret, anywhere in a text: no mention of a token looks like that.
_WHOLE_IN_TEXT: Final = re.compile(r"ik_(?:live|sdk)_[A-Za-z0-9]+_[A-Za-z0-9]{16}")
# The prefix and one more character. In settings and commands even that is a token, cut or not.
_START_IN_TEXT: Final = re.compile(r"(?<![A-Za-z0-9_])ik_(?:live|sdk)_[A-Za-z0-9]")
# Wider than a token's alphabet, so that no tail of a secret is left behind. What `redact_token`
# has written is skipped, so that redacting twice gives the same as redacting once.
_ANY_IN_TEXT: Final = re.compile(
    r"ik_(?:live|sdk)_(?![A-Za-z0-9]{1,8}…)[A-Za-z0-9_\-]+(?:[+/=.~%]+[A-Za-z0-9_\-]+)*"
)
# The same, and what is redacted already as well: for texts that show no part of any token.
_EVERY_IN_TEXT: Final = re.compile(r"ik_(?:live|sdk)_[A-Za-z0-9_\-+/=.~%]+")

# Credentials of other services. Each pattern is long enough that a mention such as `hf_xxx` does
# not match, and begins with what only tokens of that service begin with.
_FOREIGN: Final = (
    ("a Hugging Face token", re.compile(r"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{20,}")),
    ("an API key", re.compile(r"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{20,}")),
    (
        "a GitHub token",
        re.compile(r"(?<![A-Za-z0-9_])(?:gh[opsur]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    ),
    ("an AWS access key", re.compile(r"(?<![A-Za-z0-9_])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    (
        "a password in a URL",
        re.compile(
            r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[^/\s:@'\"${}]{0,99}:(?![$<{])[^/\s@'\"]{1,99}@"
        ),
    ),
)
# Hiding takes a wider pattern than recognising: a log line that loses a word too many is harmless.
_HUB_TOKEN: Final = re.compile(r"\bhf_[A-Za-z0-9]{8,}")
_USERINFO: Final = re.compile(r"(?s)\A([A-Za-z][A-Za-z0-9+.\-]*://)?.*@")


def token_kind(token: str) -> TokenKind | None:
    """Return which plane a token is for, by its prefix; ``None`` for any other prefix."""
    for prefix, kind in _PREFIXES.items():
        if token.startswith(prefix):
            return kind
    return None


def format_token(kind: TokenKind, id: str, secret: str) -> str:
    """Return the token with these parts."""
    return f"ik_{kind}_{id}_{secret}"


def minted_token_parts(token: str) -> TokenParts | None:
    """Return the parts of a token in exactly the form in which the platform mints them."""
    match = _MINTED.match(token)
    if match is None:
        return None
    return TokenParts("sdk" if match[1] == "sdk" else "live", match[2])


def token_id(text: str) -> str:
    """Return the id in a token, whole or redacted. Any other text is taken for the id itself."""
    parts = minted_token_parts(text)
    if parts is not None:
        return parts.id
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    return text.rstrip("….")


def is_secret(text: str) -> bool:
    """Whether a text begins like a token. A text that only mentions one does not."""
    return text.lstrip().startswith(tuple(_PREFIXES))


def contains_token(text: str) -> bool:
    """Whether a text is a token, or has a whole one in it. A mere prefix does not count."""
    return is_secret(text) or _WHOLE_IN_TEXT.search(text) is not None


def contains_token_start(text: str) -> bool:
    """Whether a text has at least the beginning of a token in it, as no setting may."""
    return contains_token(text) or _START_IN_TEXT.search(text) is not None


def foreign_credentials(text: str) -> Iterator[str]:
    """Yield the kinds of other services' credentials in a text, such as ``"an API key"``."""
    for kind, pattern in _FOREIGN:
        if pattern.search(text):
            yield kind


def redact_token(token: str) -> str:
    """Return ``ik_<kind>_<first 8 of id>…``, or ``ik…`` for anything without the four parts."""
    match = _FOUR_PARTS.match(token)
    return redacted_token(match[1], match[2]) if match else "ik…"


def redacted_token(kind: str, id: str) -> str:
    """Return what is shown of the token with this kind and id."""
    return f"ik_{kind}_{id[:8]}…"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return *text* with every token in it redacted, and every one of *secrets*, of any form.

    A secret is found as :mod:`inferencekey.echoes` describes it: cut, escaped or encoded as well.
    """
    # Whole tokens first. A piece of one that equals a piece of a secret would be hidden alone, and
    # what is left would not look like a token.
    text = _MINTED_IN_TEXT.sub(lambda match: redact_token(match[0]), text)
    for secret in secrets:
        parts = _FOUR_PARTS.match(secret)
        public = 0 if parts is None else parts.start(3)
        shown = redact_token(secret)
        for begin, end in reversed(spans_of(secret, text, public)):
            text = text[:begin] + shown + text[end:]
    return _ANY_IN_TEXT.sub(lambda match: redact_token(match[0]), text)


def hide_tokens(text: str) -> str:
    """Return *text* with ``ik…`` in the place of every token: no part of it is shown."""
    return _EVERY_IN_TEXT.sub("ik…", text)


def redact_hub_tokens(text: str) -> str:
    """Return *text* with every Hugging Face token in it redacted."""
    return _HUB_TOKEN.sub("hf_…", text)


def redact_userinfo(url: str) -> str:
    """Return a URL of any form without the user, the password and the tokens in it."""
    return redact(_USERINFO.sub(r"\1…@", url))
