"""Where settings come from, what a token is, and that none is ever shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey import config
from inferencekey.errors import ConfigurationError, PermissionDenied

SECRET = "5ec2e7" * 10 + "abcd"
KEY = f"ik_live_proj1234_{SECRET}"
TOKEN = f"ik_sdk_0a1b2c3d_{SECRET}"


@pytest.mark.parametrize(
    ("argument", "variable", "value"),
    [
        ("a", "b", "a"),
        (None, "b", "b"),
        ("", "b", "b"),
        ("  ", "b", "b"),
        ("a", None, "a"),
        (" a\n", None, "a"),
        (None, " b ", "b"),
        (None, "", None),
        (None, " \t", None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_an_argument_beats_the_variable_and_blank_is_absent(
    argument: str | None, variable: str | None, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {} if variable is None else {"INFERENCEKEY_PROJECT": variable}
    assert config.setting(argument, config.PROJECT_VARIABLE, environ) == value
    monkeypatch.delenv(config.PROJECT_VARIABLE, raising=False)
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    assert config.setting(argument, config.PROJECT_VARIABLE) == value


def test_the_variables_are_the_contracts() -> None:
    assert (
        config.BASE_URL_VARIABLE,
        config.PROJECT_VARIABLE,
        config.SDK_TOKEN_VARIABLE,
        config.API_KEY_VARIABLE,
    ) == (
        "INFERENCEKEY_BASE_URL",
        "INFERENCEKEY_PROJECT",
        "INFERENCEKEY_SDK_TOKEN",
        "INFERENCEKEY_API_KEY",
    )


@pytest.mark.parametrize(
    ("argument", "variable", "url"),
    [
        (None, None, "https://api.inferencekey.com"),
        ("", " ", "https://api.inferencekey.com"),
        ("https://a.example", "https://b.example", "https://a.example"),
        (None, "https://b.example/", "https://b.example"),
        ("https://a.example///", None, "https://a.example"),
        ("https://a.example/prefix/", None, "https://a.example/prefix"),
        (" http://127.0.0.1:4747/ ", None, "http://127.0.0.1:4747"),
        ("http://[::1]:4747", None, "http://[::1]:4747"),
        ("HTTPS://A.example", None, "HTTPS://A.example"),
    ],
)
def test_base_url(argument: str | None, variable: str | None, url: str) -> None:
    assert (
        config.base_url(argument, {} if variable is None else {"INFERENCEKEY_BASE_URL": variable})
        == url
    )


@pytest.mark.parametrize(
    "url",
    [
        "api.inferencekey.com", "localhost:4747", "//host", "/path", "ftp://host", "http://", "https:///x", "http://:80",
        "http://host:0", "http://host:99999", "http://host:port", "http://[::1", "http://ho st", "http://host\n.evil",
        "http://host?", "http://host?a=b", "http://host#", "http://host#x", "http://@host", "http://me@host",
    ],
)  # fmt: skip
def test_what_is_no_base_url_names_the_way_out(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.base_url(url, {})
    text = str(caught.value)
    assert text.startswith(
        "configuration error: base_url must be like https://host or http://127.0.0.1:4747; got "
    )
    assert text.endswith(". Pass base_url= or set INFERENCEKEY_BASE_URL.")


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter2@host",
        "me:hunter2@host",
        "http://me:hun/hunter2@host",
        "ftp://hunter2@host",
        "http://a@b:hunter2@c",
        f"https://host?key={KEY}",
    ],
)
def test_a_base_urls_credentials_are_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.base_url(url, {})
    assert "hunter2" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "…" in str(caught.value)


def test_tokens_of_the_right_kind_pass() -> None:
    assert config.check_sdk_token(TOKEN) == TOKEN
    assert config.check_data_key(KEY, "support-bot") == KEY
    assert config.check_data_key("sk-own-gateway", "support-bot") == "sk-own-gateway"


def test_no_token_names_the_way_out() -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.check_sdk_token(None)
    assert (
        str(caught.value)
        == "No ik_sdk_ token configured. Pass sdk_token= or set INFERENCEKEY_SDK_TOKEN."
    )
    with pytest.raises(ConfigurationError) as caught:
        config.check_data_key(None, "support-bot")
    assert str(caught.value) == (
        'No ik_live_ key for workload "support-bot". Pass api_key= or set INFERENCEKEY_API_KEY.'
    )


def test_a_data_key_on_the_management_plane() -> None:
    with pytest.raises(PermissionDenied) as caught:
        config.check_sdk_token(KEY)
    assert caught.value.code == "wrong_credential_type"
    assert str(caught.value) == (
        "permission denied [wrong_credential_type]: ik_live_proj1234… is a data key; "
        "the management plane requires an ik_sdk_ token"
    )
    with pytest.raises(PermissionDenied, match=r"\]: ik… is a data key; "):
        config.check_sdk_token("ik_live_short")


def test_a_control_token_on_the_data_plane() -> None:
    with pytest.raises(PermissionDenied) as caught:
        config.check_data_key(TOKEN, "support-bot")
    assert caught.value.code == "wrong_credential_type"
    assert str(caught.value) == (
        "permission denied [wrong_credential_type]: ik_sdk_0a1b2c3d… is a control token; "
        "the data plane requires an ik_live_ key"
    )


@pytest.mark.parametrize("token", ["sk-other", "ik_", "IK_SDK_x", "ik_sdkx", ""])
def test_any_other_prefix_on_the_management_plane(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.check_sdk_token(token)
    assert "does not begin with ik_sdk_" in str(caught.value)
    assert not token or f"{token!r}" not in str(caught.value)


@pytest.mark.parametrize("junk", ["\n", "\r\nX-Evil: 1", " ", "\0", "é", "\x7f", "\u200b"])
def test_a_token_that_cannot_stand_in_a_header(junk: str) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"^configuration error: sdk_token holds characters that no token has",
    ):
        config.check_sdk_token(TOKEN + junk)
    with pytest.raises(
        ConfigurationError,
        match=r"^configuration error: api_key holds characters that no token has",
    ):
        config.check_data_key("own" + junk + "key", "bot")


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
def test_kinds(token: str, kind: str | None) -> None:
    assert config.token_kind(token) == kind


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
    assert config.redact_token(token) == shown


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
    assert config.redact(text) == shown


def test_other_secrets_are_redacted_when_they_are_known() -> None:
    assert config.redact("key sk-0123 and sk-0123!", ["sk-0123"]) == "key ik… and ik…!"
    assert config.redact("abc", ["abc"]) == "abc", (
        "too short to be a secret, long enough to spoil every text"
    )
    assert config.redact(f"key {KEY}", [KEY]) == "key ik_live_proj1234…"


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
        config.redact(text),
        config.redact(text, [f"{prefix}{id}{secret}{tail}"]),
        config.redact(text * 2),
    ):
        # Where the secret stands in the place of the id, its first 8 characters are shown as one.
        assert "5ec2e75ec" not in shown


@given(st.text(max_size=40))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = config.redact(f"{text}{KEY} {text}")
    assert config.redact(once) == once


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
def test_what_is_a_secret(text: str, secret: bool) -> None:
    assert config.is_secret(text) is secret
