"""An HTTP response that is not a success becomes a typed error with a readable message.

Servers write errors in many forms: ``{"error": "text"}``, ``{"error": {"message", "type",
"code"}}``, ``{"detail": …}``, plain text, HTML. Every form yields a message that is readable, has a
limited length and contains no credential.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import orjson

from inferencekey._core.half_characters import without_halves
from inferencekey._core.json import as_integer, as_mapping, as_string, loads_loosely
from inferencekey.credentials import redact
from inferencekey.errors import (
    ApiError,
    AuthError,
    GenerationFailed,
    InferenceKeyError,
    NotFoundError,
    PermissionDenied,
    RateLimitError,
    ServerError,
    ValidationError,
)
from inferencekey.models import TextResult
from inferencekey.printable import one_line

__all__ = ["BODY_LIMIT", "MESSAGE_LIMIT", "error_for", "in_band_error", "words"]

BODY_LIMIT: Final = 8 * 1024
"""How many bytes of an error's body are read and kept."""

MESSAGE_LIMIT: Final = 500
"""The longest text of the server in a message, in characters."""

DENIALS: Final = frozenset(
    {"wrong_credential_type", "project_scope_mismatch", "scope_insufficient"}
)

_MESSAGES: Final = ("message", "msg", "error_message", "error_msg")
_INVISIBLE = re.compile(r"(?is)<(script|style|head)\b.*?(</\1\s*>|\Z)|<!--.*?(-->|\Z)")
_TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")
_TAG = re.compile(r"<[a-zA-Z/!?][^>]*>")
_MARKUP = re.compile(r"(?i)<(!doctype|html|head|body|title|h[1-6]|p|div|pre|center|br)\b|</[a-z]")


def error_for(
    status: int,
    body: bytes,
    *,
    request_id: str | None = None,
    retry_after: float | None = None,
    attempts: int | None = None,
    location: str | None = None,
    secrets: Iterable[str] = (),
) -> InferenceKeyError:
    """Return the typed error of a response whose status is not 2xx.

    Args:
        status: the HTTP status.
        body: the first bytes of the body.
        request_id: the response's ``x-request-id``.
        retry_after: the seconds to wait that the response asks for.
        attempts: how often the request was sent.
        location: the URL of a redirect.
        secrets: credentials of the request, to be removed from what the server has echoed.
    """
    secrets = tuple(secrets)
    text, code = words(body, secrets)
    fields: dict[str, Any] = {
        "status": status,
        "code": code,
        "request_id": None if request_id is None else redact(request_id, secrets),
        # A credential that the limit cuts is found as a whole.
        "body": redact(body[: BODY_LIMIT + 512].decode("utf-8", "replace"), secrets)[:BODY_LIMIT],
        "retry_after": retry_after,
        "attempts": attempts,
    }
    if status in (400, 422):
        return ValidationError.of(
            text or "the server gave no reason", prefix="bad request", **fields
        )
    if status == 401:
        return AuthError.of(text or "the token is missing, unknown or revoked", **fields)
    if status == 403:
        fields["code"] = code if code in DENIALS else "forbidden"
        return PermissionDenied.of(_without_code(text, code), **fields)
    if status == 404:
        return NotFoundError.of(text or "the server does not have it", **fields)
    if 300 <= status < 400:
        target = (
            one_line(redact(location, secrets))[:MESSAGE_LIMIT]
            if location
            else "an unknown location"
        )
        text = (
            f"redirected to {target}; "
            "redirects are not followed, because the request carries a credential"
        )
    fields["prefix"] = f"api error (status {status})"
    text = text or "the server gave no reason"
    if status == 429:
        return RateLimitError.of(text, **fields)
    if status >= 500:
        return ServerError.of(text, **fields)
    return ApiError.of(text, **fields)


def _without_code(text: str, code: str | None) -> str:
    if not text or text == code:
        return _DENIAL_HELP.get(code or "", "the token does not allow this")
    return text


_DENIAL_HELP: Final[Mapping[str, str]] = {
    "wrong_credential_type": "this plane requires the other kind of token "
    "(ik_sdk_ to provision, ik_live_ to call)",
    "project_scope_mismatch": "the token belongs to a different project; "
    "check INFERENCEKEY_PROJECT and the token's scope",
    "scope_insufficient": "the token has no scope or grant for this; create one that has",
}


def in_band_error(
    raw: Any,
    *,
    request_id: str | None = None,
    partial_text: str = "",
    result: TextResult | None = None,
) -> GenerationFailed:
    """Return the error for an ``{"error": …}`` in a response with status 200, or in a stream."""
    raw = without_halves(raw)
    text, code = _from_json(raw) if not isinstance(raw, str) else (raw, None)
    text = _bounded(redact(text)) or "the engine reported an error without a message"
    status = None
    body = as_mapping(raw)
    if body is not None:
        inner = as_mapping(body.get("error")) or body
        numbers = (as_integer(inner.get(key)) for key in ("status", "code"))
        status = next((n for n in numbers if n is not None and 400 <= n <= 599), None)
    return GenerationFailed.of(
        text,
        code=code,
        status=status,
        request_id=request_id,
        body=_bounded(redact(_json(raw)), BODY_LIMIT),
        partial_text=partial_text,
        result=result,
    )


def words(body: bytes, secrets: Iterable[str] = ()) -> tuple[str, str | None]:
    """Return the server's message, cut and without credentials, and its code if it has one."""
    body = body[:BODY_LIMIT]
    try:
        try:
            raw = orjson.loads(body)
        except orjson.JSONDecodeError:
            raw = without_halves(loads_loosely(body))
        text, code = _from_json(raw)
    except (ValueError, RecursionError):
        text, code = _from_text(body.decode("utf-8", "replace")), None
    if code is not None:
        code = _bounded(redact(code, secrets), 100)
    return _bounded(redact(text, secrets)), code


def _from_json(raw: Any) -> tuple[str, str | None]:
    body = as_mapping(raw)
    if body is None:
        return _text_of(raw), None
    error = body.get("error")
    inner = as_mapping(error)
    if inner is not None:
        code = _code(inner)
        text = as_string(inner.get("message")) or _detail(inner.get("detail")) or code
        return text or (_json(inner) if inner else ""), code
    if isinstance(error, str) and error:
        # The control plane sends {"error": "<code or text>"}. A single word is a code.
        is_code = re.fullmatch(r"[a-z][a-z0-9_]*", error) is not None
        code = _code(body, "code") or (error if is_code else None) or _code(body)
        return as_string(body.get("message")) or error, code
    text = next((found for key in _MESSAGES if (found := as_string(body.get(key)))), "")
    text = text or _detail(body.get("detail")) or _detail(body.get("errors"))
    if not text and error and error is not True:
        text = _json(error)
    text = text or as_string(body.get("title")) or _code(body, "code")
    return text or (_json(raw) if body else ""), _code(body)


def _text_of(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # orjson reads deeper nesting than it writes
        return "(JSON that is nested too deeply to be shown)"


def _code(body: Mapping[str, Any], *keys: str) -> str | None:
    for key in keys or ("code", "type"):
        value = body.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def _detail(detail: Any) -> str:
    if isinstance(detail, str):
        return detail
    if isinstance(detail, list):  # FastAPI's: [{"loc": [...], "msg": "..."}]
        parts: list[str] = []
        for item in cast("list[Any]", detail):
            entry = as_mapping(item)
            if entry is None:
                parts.append(item if isinstance(item, str) else _json(item))
                continue
            place = entry.get("loc")
            steps = cast("list[Any]", place) if isinstance(place, list) else []
            path = ".".join(step if isinstance(step, str) else _json(step) for step in steps)
            problem = as_string(entry.get("msg")) or _json(item)
            parts.append(f"{path}: {problem}" if path else problem)
        return "; ".join(parts)
    inner = as_mapping(detail)
    if inner is not None and (text := as_string(inner.get("message"))):
        return text
    return _text_of(detail)


def _from_text(text: str) -> str:
    if _MARKUP.search(text):
        title = _TITLE.search(text)
        visible = _TAG.sub(" ", _INVISIBLE.sub(" ", text))
        if not visible.strip() and title is not None:
            visible = title[1]
        return html.unescape(visible)
    return text


def _bounded(text: str, limit: int = MESSAGE_LIMIT) -> str:
    text = one_line(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
