"""The forms of tokens, and that none is ever shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey import config, credentials

SECRET = "5ec2e7" * 10 + "abcd"
KEY = f"ik_live_proj1234_{SECRET}"
TOKEN = f"ik_sdk_0a1b2c3d_{SECRET}"


def test_configuration_offers_the_same_functions() -> None:
    for name in ("is_secret", "redact", "redact_token", "token_kind"):
        assert getattr(config, name) is getattr(credentials, name)


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (TOKEN, "sdk"),
        (KEY, "live"),
        ("ik_sdk_", "sdk"),
        ("sk-x", None),
        ("", None),
        (" ik_live_x", None),
    ],
)
def test_kinds_of_tokens(token: str, kind: str | None) -> None:
    assert credentials.token_kind(token) == kind


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (KEY, "ik_live_proj1234…"),
        (TOKEN, "ik_sdk_0a1b2c3d…"),
        ("ik_live_ab_cd", "ik_live_ab…"),
        ("ik_live_abcdefghijkl_x", "ik_live_abcdefgh…"),
        ("ik_live_abcdefgh", "ik…"),
        ("ik_live_a_b_c", "ik…"),
        ("ik_live__secret", "ik…"),
        ("ik_live_a_", "ik…"),
        ("ik_LIVE_a_b", "ik…"),
        (f"{KEY}\n", "ik…"),
        (f"{KEY}-more", "ik…"),
        ("sk-other", "ik…"),
        ("", "ik…"),
    ],
)
def test_redacted_tokens(token: str, shown: str) -> None:
    assert credentials.redact_token(token) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"who is {KEY}?", "who is ik_live_proj1234…?"),
        (f'{{"key":"{KEY}"}}', '{"key":"ik_live_proj1234…"}'),
        (f"{KEY},{TOKEN}.", "ik_live_proj1234…,ik_sdk_0a1b2c3d…."),
        (f"Bearer {KEY}\n", "Bearer ik_live_proj1234…\n"),
        (f"{KEY}/x", "ik…"),
        (f"{KEY}%2Bab+/==", "ik…+/=="),
        (f"ik_live_{SECRET}", "ik…"),
        ("ik_live_proj1234… already", "ik_live_proj1234… already"),
        ("ik_live_proj1234_5ec2e7… cut", "ik_live_proj1234…… cut"),
        ("ik_live_5ec2e75ec2e7… cut", "ik…… cut"),
        ("ik_live_ and ik_sdk_ tokens", "ik_live_ and ik_sdk_ tokens"),
        ("nothing here", "nothing here"),
        ("", ""),
    ],
)
def test_redacted_texts(text: str, shown: str) -> None:
    assert credentials.redact(text) == shown


def test_other_secrets_are_redacted_when_they_are_known() -> None:
    assert credentials.redact("key sk-0123 and sk-0123!", ["sk-0123"]) == "key ik… and ik…!"
    assert credentials.redact("abc", ["abc"]) == "abc", (
        "too short to be a secret, long enough to spoil every text"
    )
    assert credentials.redact(f"key {KEY}", [KEY]) == "key ik_live_proj1234…"


TEXT = st.text(st.characters(blacklist_characters="5"), max_size=12)
TAILS = st.text("5abcdef_-+/=.~%", max_size=10)


@given(
    TEXT,
    st.sampled_from(["ik_live_", "ik_sdk_"]),
    st.sampled_from(["", "a_", "proj1234_", "a_b_", "_"]),
    TAILS,
    TEXT,
)
def test_the_secret_part_never_appears(
    before: str, prefix: str, id: str, tail: str, after: str
) -> None:
    secret = "5ec2e7" * 4
    text = f"{before}{prefix}{id}{secret}{tail}{after}"
    for shown in (
        credentials.redact(text),
        credentials.redact(text, [f"{prefix}{id}{secret}{tail}"]),
        credentials.redact(text * 2),
    ):
        # Where the secret stands in the place of the id, its first 8 characters are shown as one.
        assert "5ec2e75ec" not in shown


@given(st.text(max_size=40))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = credentials.redact(f"{text}{KEY} {text}")
    assert credentials.redact(once) == once


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (KEY, True),
        (f" \n{TOKEN}", True),
        ("ik_live_", True),
        (f"the key {KEY}", False),
        ("ik_other_a_b", False),
        ("", False),
    ],
)
def test_recognises_a_token(text: str, secret: bool) -> None:
    assert credentials.is_secret(text) is secret


def test_a_minted_token_has_exactly_one_form() -> None:
    token = credentials.format_token("live", "0a1b2c3d", "0" * 64)
    assert token == "ik_live_0a1b2c3d_" + "0" * 64
    assert credentials.minted_token_parts(token) == ("live", "0a1b2c3d")
    assert credentials.minted_token_parts(TOKEN) == ("sdk", "0a1b2c3d")
    for other in (KEY, f"{token}0", f"{token}\n", token.upper(), "ik_live_0a1b2c3d_", ""):
        assert credentials.minted_token_parts(other) is None


@pytest.mark.parametrize(
    ("text", "id"),
    [
        (TOKEN, "0a1b2c3d"),
        ("ik_sdk_0a1b2c3d…", "0a1b2c3d"),
        ("ik_live_0a1b2c3d...", "0a1b2c3d"),
        ("0a1b2c3d", "0a1b2c3d"),
        ("nothing like it", "nothing like it"),
    ],
)
def test_the_id_of_a_token_however_it_is_written(text: str, id: str) -> None:
    assert credentials.token_id(text) == id


@pytest.mark.parametrize(
    ("text", "whole", "start"),
    [
        (KEY, True, True),
        (f"--key={KEY}", True, True),
        ("ik_live_cut", True, True),
        ("--key=ik_live_cut", False, True),
        ("keys begin with ik_live_", False, False),
        ("keys begin with ik_live_x", False, True),
        ("my_ik_live_x", False, False),
        ("nothing", False, False),
    ],
)
def test_tokens_inside_a_text(text: str, whole: bool, start: bool) -> None:
    assert credentials.contains_token(text) is whole
    assert credentials.contains_token_start(text) is start


def test_hidden_tokens_show_no_part() -> None:
    assert credentials.hide_tokens(f"a {KEY}, b ik_sdk_0a1b2c3d…") == "a ik…, b ik……"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:hunter2@host/x", "https://…@host/x"),
        ("me:hunter2@host", "…@host"),
        ("https://host/x", "https://host/x"),
        (f"https://host?key={KEY}", "https://host?key=ik_live_proj1234…"),
    ],
)
def test_redacted_urls(url: str, shown: str) -> None:
    assert credentials.redact_userinfo(url) == shown


def test_redacted_hub_tokens() -> None:
    assert credentials.redact_hub_tokens("token hf_abcdefgh1 of hf_x") == "token hf_… of hf_x"
