"""A known secret is found however a server writes it, and ordinary words are left alone."""

from __future__ import annotations

import base64
import html
import json
import string
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.credentials import format_token, redact

FOREIGN = "sk-Proj.other+gateway/0123456789&A="
TOKEN = format_token("live", "abcd1234", "5ec2e7Fa" * 8)
KEYS = st.text(string.ascii_letters + string.digits + "-_.+/=&%\\\"'<", min_size=12, max_size=60)

FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda key: key,
    "upper": str.upper,
    "solidus": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "json": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "json, mixed": lambda key: "".join(
        f"\\u{ord(c):04X}" if i % 3 else json.dumps(c)[1:-1] for i, c in enumerate(key)
    ),
    "javascript": lambda key: "".join(f"\\u{{{ord(c):x}}}" for c in key),
    "hex escapes": lambda key: "".join(f"\\x{ord(c):02x}" for c in key),
    "octal escapes": lambda key: "".join(f"\\{ord(c):03o}" for c in key),
    "url": lambda key: quote(key, safe=""),
    "whole url": lambda key: "".join(f"%{ord(c):02x}" for c in key),
    "url twice": lambda key: quote(quote(key, safe=""), safe=""),
    "html": html.escape,
    "html, decimal": lambda key: "".join(f"&#{ord(c)};" for c in key),
    "html, hex": lambda key: "".join(f"&#x{ord(c):X};" for c in key),
    "html in json": lambda key: json.dumps(html.escape(key))[1:-1],
    "json in html": lambda key: html.escape(json.dumps(key)[1:-1]),
    "utf-16": lambda key: "\0".join(key),
    "wrapped": lambda key: key[:9] + "\r\n" + key[9:],
    "hex": lambda key: key.encode().hex(),
    "repr": lambda key: repr(key)[1:-1],
}
BASE64 = {
    f"base64, {before!r}": (
        lambda key, before=before: base64.b64encode(f"{before}{key}x".encode()).decode()
    )
    for before in ("", "u:", "u", "Bearer ")
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("key", [FOREIGN, TOKEN])
def test_every_form_is_hidden(form: Callable[[str], str], key: str) -> None:
    shown = redact(f"before {form(key)} after", [key])
    assert shown.startswith("before ik")
    assert shown.endswith(" after")
    assert len(shown) <= len("before ik_live_abcd1234… after") + 2, shown


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(key=KEYS)
def test_every_form_of_any_key_is_hidden(form: Callable[[str], str], key: str) -> None:
    assert form(key) not in redact(f"before {form(key)} after", [key])


@pytest.mark.parametrize("form", BASE64.values(), ids=BASE64)
@pytest.mark.parametrize("key", [FOREIGN, TOKEN])
def test_base64_shows_at_most_the_edges(form: Callable[[str], str], key: str) -> None:
    for encoded in (form(key), form(key).replace("+", "-").replace("/", "_")):
        shown = redact(f"Basic {encoded}.", [key])
        left = shown.replace("Basic ", "").replace("ik_live_abcd1234…", "").replace("ik…", "")
        assert len(left) <= 18, shown


@pytest.mark.parametrize("length", range(8, len(FOREIGN) + 1))
def test_a_key_that_was_cut_is_hidden(length: int) -> None:
    assert redact(f"bad key {FOREIGN[:length]}", [FOREIGN]) == "bad key ik…"
    assert redact(f"bad key {FOREIGN[:length]}...", [FOREIGN]) == "bad key ik…..."
    if length >= 12:
        assert redact(f"…{FOREIGN[-length:]} bad", [FOREIGN]) == "…ik… bad"


@pytest.mark.parametrize("length", range(22, len(TOKEN) + 1))
def test_a_token_that_was_cut_is_hidden(length: int) -> None:
    assert redact(f"bad {TOKEN[:length]}", [TOKEN]) in ("bad ik_live_abcd1234…", "bad ik…")
    assert "5ec2e7fa" not in redact(f"bad {TOKEN[-length:]} x", [TOKEN]).lower()


@pytest.mark.parametrize(
    "text",
    [
        "pass an ik_live_ key",
        "the key ik_live_abcd1234… is revoked",
        "sk-Proj is not a key; use the gateway",
        "100%25 of &amp; \\u0041 \\/ stay as they are",
        "",
    ],
)
@pytest.mark.parametrize("key", [FOREIGN, TOKEN])
def test_other_words_stay(text: str, key: str) -> None:
    assert redact(text, [key]) == text
    assert redact(redact(f"{key} {text}", [key]), [key]) == redact(f"{key} {text}", [key])


def test_short_secrets() -> None:
    assert redact("abc abcd abcde", ["abc"]) == "abc abcd abcde"
    assert redact("abc abcd abcde", ["abcd"]) == "abc ik… ik…e"


def test_a_long_text_and_a_long_key_take_no_time() -> None:
    key = "aB3" * 1000
    text = ("e" * 50 + "%65\\u0065&amp;") * 1000 + key[:100]
    began = time.process_time()
    assert key[:20] not in redact(text, [key])
    assert time.process_time() - began < 20
