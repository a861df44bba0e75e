"""From refusals of every shape to typed errors with readable, bounded, harmless words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.http_errors import (
    BODY_LIMIT,
    MESSAGE_LIMIT,
    error_for,
    in_band_error,
    words,
)
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
from inferencekey.printable import printable

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
RECORDED = sorted(f"{path.parent.name}/{path.stem}" for path in CAPTURES.glob("*/*.http"))
SECRET = "5ec2e7" * 10 + "abcd"
TOKEN = f"ik_live_proj1234_{SECRET}"

CLASSES: list[tuple[int, type[InferenceKeyError], str]] = [
    (400, ValidationError, "bad request: "),
    (422, ValidationError, "bad request: "),
    (401, AuthError, "authentication failed: "),
    (403, PermissionDenied, "permission denied [forbidden]: "),
    (404, NotFoundError, "not found: "),
    (405, ApiError, "api error (status 405): "),
    (408, ApiError, "api error (status 408): "),
    (409, ApiError, "api error (status 409): "),
    (413, ApiError, "api error (status 413): "),
    (418, ApiError, "api error (status 418): "),
    (429, RateLimitError, "api error (status 429): "),
    (500, ServerError, "api error (status 500): "),
    (501, ServerError, "api error (status 501): "),
    (502, ServerError, "api error (status 502): "),
    (503, ServerError, "api error (status 503): "),
    (504, ServerError, "api error (status 504): "),
    (599, ServerError, "api error (status 599): "),
]


@pytest.mark.parametrize(("status", "kind", "prefix"), CLASSES)
def test_a_status_has_its_class_and_its_prefix(
    status: int, kind: type[InferenceKeyError], prefix: str
) -> None:
    error = error_for(
        status, b'{"error": "It broke."}', request_id="r-1", retry_after=1.5, attempts=3
    )
    assert type(error) is kind
    assert str(error) == prefix + "It broke."
    assert (error.status, error.request_id, error.retry_after, error.attempts) == (
        status,
        "r-1",
        1.5,
        3,
    )
    assert error.body == '{"error": "It broke."}'


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "bad request: the server gave no reason"),
        (401, "authentication failed: the token is missing, unknown or revoked"),
        (403, "permission denied [forbidden]: the token does not allow this"),
        (404, "not found: the server does not have it"),
        (429, "api error (status 429): the server gave no reason"),
        (503, "api error (status 503): the server gave no reason"),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"{}", b'{"error": null}', b'{"error": {}}', b" \r\n", b'""']
)
def test_an_error_without_a_body_is_readable(status: int, text: str, body: bytes) -> None:
    error = error_for(status, body)
    if body == b'{"error": null}':
        assert str(error).startswith(text.split(":")[0])
    else:
        assert str(error) == text


DENIED = ["wrong_credential_type", "project_scope_mismatch", "scope_insufficient"]


@pytest.mark.parametrize("code", DENIED)
@pytest.mark.parametrize(
    "shape",
    [
        lambda code: {"error": code},
        lambda code: {"error": {"code": code}},
        lambda code: {"error": {"code": code, "message": code}},
        lambda code: {"error": {"type": code, "message": ""}},
        lambda code: {"error": code, "type": "about:blank"},
        lambda code: {"error": True, "code": code},
        lambda code: {"code": code},
    ],
)
def test_a_denial_without_a_message_has_one_for_its_code(
    code: str, shape: Callable[[str], object]
) -> None:
    error = error_for(403, orjson.dumps(shape(code)))
    assert isinstance(error, PermissionDenied)
    assert error.code == code
    text = str(error).removeprefix(f"permission denied [{code}]: ")
    assert len(text) > 30
    assert code not in text


@pytest.mark.parametrize("code", DENIED)
@pytest.mark.parametrize(
    "shape",
    [
        lambda code: {"error": {"code": code, "message": "No way."}},
        lambda code: {"error": code, "message": "No way."},
        lambda code: {"code": code, "message": "No way."},
    ],
)
def test_the_servers_message_of_a_denial_is_kept(code: str, shape: Callable[[str], object]) -> None:
    error = error_for(403, orjson.dumps(shape(code)))
    assert (error.code, str(error)) == (code, f"permission denied [{code}]: No way.")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            b'{"error": "quota_exceeded"}',
            "permission denied [forbidden]: the token does not allow this",
        ),
        (b'{"error": {"code": 403, "message": "No."}}', "permission denied [forbidden]: No."),
        (
            b"<html><body><h1>403 Forbidden</h1></body></html>",
            "permission denied [forbidden]: 403 Forbidden",
        ),
    ],
)
def test_any_other_denial_is_forbidden(body: bytes, text: str) -> None:
    error = error_for(403, body)
    assert (error.code, str(error)) == ("forbidden", text)


SHAPES = [
    pytest.param(
        '{"error": "workload_not_found"}',
        "workload_not_found",
        "workload_not_found",
        id="control plane code",
    ),
    pytest.param(
        '{"error": "No such workload"}', "No such workload", None, id="control plane text"
    ),
    pytest.param(
        '{"error": "slug_taken", "code": "conflict"}',
        "slug_taken",
        "conflict",
        id="a code of its own",
    ),
    pytest.param('{"error": {"message": "m", "type": "t", "code": "c"}}', "m", "c", id="OpenAI"),
    pytest.param(
        '{"error": {"message": "m", "type": "t", "code": null, "param": null}}',
        "m",
        "t",
        id="OpenAI null code",
    ),
    pytest.param('{"error": {"message": "m", "type": "t", "code": 400}}', "m", "t", id="llama.cpp"),
    pytest.param('{"error": {"code": "c"}}', "c", "c", id="code only"),
    pytest.param('{"error": {"detail": "d"}}', "d", None, id="detail inside"),
    pytest.param('{"error": {"reason": "x"}}', '{"reason":"x"}', None, id="unknown inside"),
    pytest.param(
        '{"object": "error", "message": "m", "type": "BadRequest", "code": 400}',
        "m",
        "BadRequest",
        id="vLLM",
    ),
    pytest.param(
        '{"error": "Input validation error", "error_type": "validation"}',
        "Input validation error",
        None,
        id="TGI",
    ),
    pytest.param('{"detail": "Not Found"}', "Not Found", None, id="FastAPI text"),
    pytest.param(
        '{"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Field required", "type": '
        '"missing"}, {"msg": "b"}]}',
        "body.messages.0.role: Field required; b",
        None,
        id="FastAPI list",
    ),
    pytest.param(
        '{"detail": ["one", {"two": 2}, 3]}', 'one; {"two":2}; 3', None, id="a list of anything"
    ),
    pytest.param('{"detail": [{"loc": "body", "msg": "m"}]}', "m", None, id="loc that is no list"),
    pytest.param(
        '{"detail": [{"loc": [{"a": 1}, null], "msg": "m"}]}', '{"a":1}.null: m', None, id="odd loc"
    ),
    pytest.param(
        '{"detail": {"message": "loading", "code": "x"}}',
        "loading",
        None,
        id="detail object with a message",
    ),
    pytest.param(
        '{"detail": {"state": "loading"}}', '{"state":"loading"}', None, id="detail object"
    ),
    pytest.param('{"detail": null}', '{"detail":null}', None, id="detail null"),
    pytest.param('{"detail": 5}', "5", None, id="detail number"),
    pytest.param('{"message": "m"}', "m", None, id="message"),
    pytest.param('{"error": true, "message": "m", "code": "c"}', "m", "c", id="error flag"),
    pytest.param('{"error": true}', '{"error":true}', None, id="error flag only"),
    pytest.param('{"error": ["a"]}', '["a"]', None, id="error list"),
    pytest.param(
        '{"type": "about:blank", "title": "Gone", "status": 410}',
        "Gone",
        "about:blank",
        id="RFC 9457",
    ),
    pytest.param('{"status": "down"}', '{"status":"down"}', None, id="some object"),
    pytest.param('["a", 1]', '["a",1]', None, id="array"),
    pytest.param('"just text"', "just text", None, id="JSON text"),
    pytest.param("upstream connect error", "upstream connect error", None, id="plain text"),
    pytest.param("a < b, and c > d", "a < b, and c > d", None, id="text with angles"),
    pytest.param(
        "expected <int>, got 3", "expected <int>, got 3", None, id="text with a type in angles"
    ),
    pytest.param("one\r\n\ttwo\x00\x1b[31mthree", "one two three", None, id="control characters"),
    pytest.param("ñandú 日本", "ñandú 日本", None, id="not ASCII"),
    pytest.param('{"error": {"message": "cut', '{"error": {"message": "cut', None, id="cut JSON"),
    pytest.param(
        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 "
        "Bad Gateway</h1></center>\r\n"
        "<hr><center>nginx/1.25</center>\r\n</body>\r\n</html>",
        "502 Bad Gateway nginx/1.25",
        None,
        id="nginx",
    ),
    pytest.param(
        "<!DOCTYPE html><title>Just a moment</title><script>a = '<b>';</script>",
        "Just a moment",
        None,
        id="title",
    ),
    pytest.param(
        "<head><title>Only &amp; a title</title></head><body> </body>",
        "Only & a title",
        None,
        id="empty body",
    ),
    pytest.param(
        "<style>p { x: y }</style><!-- no --><p>Tom &amp; Jerry</p><!-- cut",
        "Tom & Jerry",
        None,
        id="invisible",
    ),
    pytest.param("<body><script>cut", "", None, id="nothing visible"),
    pytest.param(
        '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        "AccessDenied",
        None,
        id="XML",
    ),
]


@pytest.mark.parametrize(("body", "text", "code"), SHAPES)
def test_every_form_of_error_yields_its_message(body: str, text: str, code: str | None) -> None:
    assert words(body.encode()) == (text, code)


def test_bytes_that_are_not_utf_8_give_a_readable_message() -> None:
    assert words(b"\xff\xfebroken") == ("��broken", None)


@pytest.mark.parametrize(
    "name", [name for name in RECORDED if "/err_" in name or "/emb_" in name or "_on_" in name]
)
def test_recorded_error_responses(name: str, capture: Callable[[str], Any]) -> None:
    exchange = capture(name)
    if exchange.status == 200:
        return
    said = orjson.loads(exchange.body)["error"]
    error = error_for(exchange.status, exchange.body)
    kind, prefix = next(
        (kind, prefix) for status, kind, prefix in CLASSES if status == exchange.status
    )
    assert type(error) is kind
    assert str(error) == prefix + " ".join(said["message"].split())
    assert error.code == said["type"]
    assert error.body == exchange.body.decode()


def test_a_recorded_503_while_loading(capture: Callable[[str], Any]) -> None:
    exchange = capture("xllamacpp_smollm2_apikey/chat_while_loading")
    error = error_for(exchange.status, exchange.body)
    assert (type(error), str(error)) == (ServerError, "api error (status 503): Loading model")


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308])
def test_a_redirect_names_its_target_and_why_it_is_not_followed(status: int) -> None:
    error = error_for(status, b"<p>Moved</p>", location=f"https://other.example/?key={TOKEN}")
    assert type(error) is ApiError
    assert str(error) == (
        f"api error (status {status}): redirected to https://other.example/?key=ik_live_proj1234…; "
        "redirects are not followed, because the request carries a credential"
    )
    assert "redirected to an unknown location" in str(error_for(status, b""))
    assert len(str(error_for(status, b"", location="https://" + "x" * 9999))) < 700


@pytest.mark.parametrize(
    "shape",
    [
        lambda text: text.encode(),
        lambda text: orjson.dumps({"error": text}),
        lambda text: orjson.dumps({"error": {"message": text, "code": text}}),
        lambda text: orjson.dumps({"error": {"other": text}}),
        lambda text: orjson.dumps({"detail": [{"loc": [text], "msg": text}]}),
        lambda text: orjson.dumps([text]),
        lambda text: b"<html><body>" + text.encode() + b"</body></html>",
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_no_credential_survives(shape: Callable[[str], bytes], status: int) -> None:
    for secret in (TOKEN, "sk-self-hosted-0123456789"):
        error = error_for(status, shape(f"the key {secret} is wrong"), secrets=iter([secret]))
        shown = str(error) + repr(error.__dict__)
        assert secret not in shown
        assert SECRET not in shown
        assert "ik…" in shown or "ik_live_proj1234…" in shown


def test_a_credential_across_the_bodys_limit_does_not_survive() -> None:
    secret = "sk-self-hosted-0123456789"
    for before in range(BODY_LIMIT - len(secret), BODY_LIMIT + 1):
        error = error_for(500, b"x" * before + secret.encode() + b"y" * 9999, secrets=[secret])
        assert "hosted" not in (error.body or "")
        assert len(error.body or "") <= BODY_LIMIT


@pytest.mark.parametrize(
    "body", [b"x" * 10**6, orjson.dumps({"error": "x" * 5000}), b"<p>" * 10**5, b"[" * 10**5]
)
def test_every_text_has_a_limit(body: bytes) -> None:
    error = error_for(500, body)
    assert len(str(error)) <= MESSAGE_LIMIT + 30
    assert len(error.body or "") <= BODY_LIMIT
    code = error_for(500, orjson.dumps({"error": {"code": "c" * 5000}})).code
    assert code is not None
    assert len(code) <= 100


@pytest.mark.parametrize(
    "wrap",
    [
        lambda deep: deep,
        lambda deep: {"detail": [deep]},
        lambda deep: {"error": {"x": deep}},
        lambda deep: {"error": deep},
    ],
)
def test_json_nested_deeper_than_can_be_written_is_still_a_typed_error(
    wrap: Callable[[Any], Any],
) -> None:
    inner = b"[" * 300 + b"]" * 300
    body = orjson.dumps(wrap(orjson.Fragment(inner)))
    assert (
        str(error_for(500, body))
        == "api error (status 500): (JSON that is nested too deeply to be shown)"
    )
    assert isinstance(in_band_error(orjson.loads(body)), GenerationFailed)


@given(st.integers(300, 599), st.binary(max_size=80))
def test_any_bytes_make_a_typed_one_line_error(status: int, body: bytes) -> None:
    error = error_for(status, body)
    assert isinstance(error, InferenceKeyError)
    assert str(error) == printable(str(error))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 999) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "detail", "loc", "msg", "status"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_makes_a_typed_error(value: object) -> None:
    error = error_for(403, orjson.dumps(value))
    assert error.code in {
        "wrong_credential_type",
        "project_scope_mismatch",
        "scope_insufficient",
        "forbidden",
    }
    inside = in_band_error(value)
    assert str(inside).startswith("api error: ")
    assert inside.status is None or 400 <= inside.status <= 599
