"""Where settings come from, and which token is for which plane."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import inferencekey
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
def test_an_argument_wins_over_the_variable_and_blank_is_absent(
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
        ("https://bücher.example/ñ/", None, "https://xn--bcher-kva.example/%C3%B1"),
        ("HTTPS://BÜCHER.Example:8443", None, "HTTPS://xn--bcher-kva.example:8443"),
        ("https://日本.example/a%20b%zz", None, "https://xn--wgv71a.example/a%20b%25zz"),
        ("https://ｅxample.com:80", None, "https://example.com:80"),
        ("https://a.example/x{y}|z", None, "https://a.example/x%7By%7D%7Cz"),
        ("https://a.example/v1beta", None, "https://a.example/v1beta"),
        ("https://v1/endpoints", None, "https://v1/endpoints"),
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
        "api.inferencekey.com",
        "localhost:4747",
        "//host",
        "/path",
        "ftp://host",
        "http://",
        "https:///x",
        "http://:80",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "http://ho st",
        "http://host\n.evil",
        "http://host?",
        "http://host?a=b",
        "http://host#",
        "http://host#x",
        "http://@host",
        "http://host:８０",
        "http://host/\ud800",
        "http://\udc80",
        "http://ho\u2028st",
        "http://ho\x85st",
        "http://me@host",
    ],
)
def test_rejects_a_wrong_base_url_and_says_what_to_do(url: str) -> None:
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


def test_a_missing_token_says_what_to_do() -> None:
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
def test_rejects_a_token_that_cannot_be_in_a_header(junk: str) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"^configuration error: sdk_token contains characters that a token cannot have",
    ):
        config.check_sdk_token(TOKEN + junk)
    with pytest.raises(
        ConfigurationError,
        match=r"^configuration error: api_key contains characters that a token cannot have",
    ):
        config.check_data_key("own" + junk + "key", "bot")


PACKAGE = Path(inferencekey.__file__).parent


def _names_in_source() -> Iterator[str]:
    for path in PACKAGE.rglob("*.py"):
        if "_codegen" not in path.parts:
            text = path.read_text(encoding="utf-8")
            yield from re.findall(r"\bINFERENCEKEY_[A-Z][A-Z_]*[A-Z]\b", text)


def test_every_variable_in_the_source_is_in_the_list() -> None:
    assert set(_names_in_source()) == {variable.name for variable in config.VARIABLES}


def test_the_variables_of_the_list_are_attributes_of_the_module() -> None:
    for variable in config.VARIABLES:
        name = variable.name.removeprefix("INFERENCEKEY_")
        assert getattr(config, name) is variable


@pytest.mark.parametrize("variable", config.VARIABLES, ids=lambda variable: variable.name)
@pytest.mark.parametrize("text", [None, "", " \t"])
def test_a_blank_variable_has_its_default(
    variable: config.Variable[object], text: str | None
) -> None:
    environ = {} if text is None else {variable.name: text}
    assert variable.read(environ) == variable.default


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        (config.PROJECT, " acme\n", "acme"),
        (config.LOG, "DEBUG", "debug"),
        (config.LOG, " info ", "info"),
        (config.LOG, "off", None),
        (config.LOG, "0", None),
        (config.LOG, "none", None),
        (config.UVLOOP, "0", False),
        (config.UVLOOP, "No", False),
        (config.UVLOOP, " false ", False),
        (config.UVLOOP, "1", True),
        (config.UVLOOP, "yes", True),
        (config.PLAIN_AIOHTTP, "1", True),
        (config.PLAIN_AIOHTTP, "off", False),
        (config.LOCAL_PROGRAMS, "1", True),
        (config.LOCAL_PROGRAMS, "no", False),
        (config.ENGINE_ENV, "HF_TOKEN,, AWS_PROFILE ,", frozenset({"HF_TOKEN", "AWS_PROFILE"})),
        (config.CACHE, "~/models", "~/models"),
    ],
)
def test_values_of_variables(variable: config.Variable[object], text: str, value: object) -> None:
    assert variable.read({variable.name: text}) == value


def test_a_log_level_that_does_not_exist() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"^configuration error: INFERENCEKEY_LOG must be debug, info or off; got 'loud'$",
    ):
        config.LOG.read({"INFERENCEKEY_LOG": "Loud"})


def test_a_variable_is_read_from_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCEKEY_UVLOOP", "0")
    assert config.UVLOOP.read() is False


def test_the_documentation_has_every_variable() -> None:
    page = (PACKAGE.parent / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(INFERENCEKEY_\w+)` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [
        (variable.name, variable.meaning, variable.shown_default) for variable in config.VARIABLES
    ]


def test_a_url_with_a_password_may_be_allowed_and_is_not_shown_otherwise() -> None:
    url = "http://me:hunter2@proxy:3128"
    allowed = config.checked_url(url, "proxy=", examples="http://proxy:3128", hint="Go.")
    assert allowed == url
    with pytest.raises(ConfigurationError) as caught:
        config.checked_url(
            "socks5://me:hunter2@proxy", "proxy=", examples="http://proxy:3128", hint="Go."
        )
    assert str(caught.value) == (
        "configuration error: proxy= must be like http://proxy:3128; got 'socks5://…@proxy'. Go."
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://host/v1",
        "https://host/v1/",
        "https://host/V1",
        "https://host/base/v1",
        "https://host/endpoint/acme/bot",
        "https://host/endpoint/acme/bot/v1",
        "https://host/endpoint",
        "https://host/Endpoint/acme/bot/v1/chat/completions",
    ],
)
def test_the_url_of_an_endpoint_gets_the_sentence_that_helps(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.base_url(url, {})
    assert str(caught.value) == (
        "configuration error: base_url must be the address of the platform, without /endpoint/… "
        "and without /v1: the client adds /endpoint/<project>/<workload>/v1 to it; "
        f"got {url.rstrip('/')!r}. Pass base_url= or set INFERENCEKEY_BASE_URL."
    )


@pytest.mark.parametrize("url", ["http://xn--\u00e9", "http://-\u00e9..a", "http://" + "é" * 300])
def test_a_host_that_is_no_host_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        config.base_url(url, {})
