"""Credentials are not shown or sent elsewhere; arguments are checked; TLS and proxies."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import Connection, FaultServer, Request, chunk, events, json_response, sse_head
from faults import scripts as f
from faults.calls import CALLS, KEY, TOKEN, Played, play
from faults.calls import faulty as to
from faults.lab import Lab
from faults.relays import Proxy, TLSFront

import inferencekey._http.transport
from inferencekey import (
    AsyncDataClient,
    AsyncManagementClient,
    ConfigurationError,
    DataClient,
    InferenceKeyError,
    InsecureTransportWarning,
    ManagementClient,
    PermissionDenied,
    RetryPolicy,
    Timeouts,
    TransportError,
    ValidationError,
    WorkloadSpec,
)

WAYS = pytest.mark.parametrize("way", ["async", "sync"])
OTHER_KEY = "sk-proj.other+gateway/0123456789=="
SECRETS = {
    KEY: "e" * 12,
    TOKEN: "f" * 12,
    OTHER_KEY: "gateway/0123",
}
"""Credentials, and a part of each that must not be shown anywhere."""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("NETRC", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(inferencekey._http.transport, "_warned", set())


def everything(value: Any, seen: set[int] | None = None) -> Iterator[str]:
    """What a debugger shows: reprs and attributes of our objects, recursively."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        yield repr(value)
        for key, each in value.items():
            yield from everything(key, seen)
            yield from everything(each, seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            yield from everything(each, seen)
    elif isinstance(value, (str, bytes, int, float, type(None))):
        yield repr(value)
    else:
        yield repr(value)
        if type(value).__module__.startswith("inferencekey"):
            yield from everything(getattr(value, "__dict__", {}), seen)
            for name in getattr(type(value), "__slots__", ()):
                if name not in (
                    "__weakref__",
                    "_token",
                ):  # the only attribute that holds the token
                    yield from everything(getattr(value, name, None), seen)


def assert_unseen(shown: str) -> None:
    for secret, piece in SECRETS.items():
        assert secret not in shown
        assert piece not in shown, shown[:2000]


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_clients_and_endpoints_do_not_show_credentials(key: str) -> None:
    common: dict[str, Any] = {"base_url": "http://127.0.0.1:9", "project": "acme"}
    for made in (
        DataClient(api_key=key, **common),
        AsyncDataClient(api_key=key, **common),
        DataClient(**common).endpoint("bot", api_key=key),
        AsyncDataClient(**common).endpoint("bot", api_key=key),
        ManagementClient(sdk_token=TOKEN, **common),
        AsyncManagementClient(sdk_token=TOKEN, **common),
    ):
        assert_unseen("\n".join([repr(made), str(made), *everything(made)]))


async def echoes(connection: Connection, request: Request, body: bytes) -> None:
    """Repeats the credential in every part of the response."""
    key = request.headers["authorization"].removeprefix("Bearer ")
    await connection.send(
        json_response(
            {"error": {"message": f"bad key {key}", "code": f"no-{key}"}},
            400,
            x_request_id="r",
            x_key=key,
        )
    )


async def echoes_in_a_page(connection: Connection, request: Request, body: bytes) -> None:
    key = request.headers["authorization"]
    await f.refuses(502, f"<html><body><p>{key}</p></body></html>".encode(), "text/html")(
        connection, request, body
    )


async def echoes_in_a_200(connection: Connection, request: Request, body: bytes) -> None:
    key = request.headers["authorization"]
    await connection.send(json_response({"error": {"message": f"bad {key}", "code": key}}))


async def echoes_in_no_json(connection: Connection, request: Request, body: bytes) -> None:
    await f.says(request.headers["authorization"].encode())(connection, request, body)


async def echoes_in_a_redirect(connection: Connection, request: Request, body: bytes) -> None:
    key = request.headers["authorization"].removeprefix("Bearer ")
    await f.redirects(307, f"http://other.test/?key={key}")(connection, request, body)


async def echoes_in_a_stream(connection: Connection, request: Request, body: bytes) -> None:
    key = request.headers["authorization"].removeprefix("Bearer ").encode()
    await connection.send(sse_head(), *events("a", finish=None, done=False))
    await connection.send(
        chunk(b'data: {"error": {"message": "bad %s", "code": "%s"}}\n\n' % (key, key)), chunk(b"")
    )


async def echoes_in_an_undecodable_event(
    connection: Connection, request: Request, body: bytes
) -> None:
    key = request.headers["authorization"].removeprefix("Bearer ").encode()
    await connection.send(
        sse_head(), *events("a", finish=None, done=False), chunk(b"data: %s\n\n" % key), chunk(b"")
    )


ECHOES = [
    (
        echoes,
        (
            "generate_text",
            "generate_text_stream",
            "embed",
            "list_workloads",
            "delete",
            "wait_until_ready",
        ),
    ),
    (echoes_in_a_page, ("generate_text", "generate_text_stream", "list_workloads", "delete")),
    (
        echoes_in_a_200,
        ("generate_text", "generate_text_stream", "embed", "rerank", "list_workloads"),
    ),
    (
        echoes_in_no_json,
        ("generate_text", "generate_text_stream", "embed", "rerank", "list_workloads"),
    ),
    (
        echoes_in_a_redirect,
        ("generate_text", "generate_text_stream", "list_workloads", "delete", "wait_until_ready"),
    ),
    (echoes_in_a_stream, ("generate_text_stream", "wait_until_ready")),
    (echoes_in_an_undecodable_event, ("generate_text_stream", "wait_until_ready")),
]


def called(way: str, url: str, key: str, call: str) -> Played:
    """Do the same as ``play``, but no local variable of the test has the key."""
    import faults.calls

    before, faults.calls.KEY = faults.calls.KEY, key
    try:
        return play(way, url, call, retry=None)[0]
    finally:
        faults.calls.KEY = before


@WAYS
@pytest.mark.parametrize("other", [False, True], ids=["ik", "other"])
@pytest.mark.parametrize(
    ("fault", "call"), [(fault, call) for fault, calls in ECHOES for call in calls]
)
def test_errors_do_not_show_credentials(fault: f.Fault, call: str, other: bool, way: str) -> None:
    with Lab(fault, to=to(call)) as lab:
        error = called(way, lab.url, list(SECRETS)[2 if other else 0], call).error
    assert isinstance(error, InferenceKeyError)
    assert_unseen("\n".join([str(error), repr(error), repr(error.args), *everything(vars(error))]))


@WAYS
@pytest.mark.parametrize(
    "call", ["generate_text", "generate_text_stream", "list_workloads", "delete"]
)
@pytest.mark.parametrize(
    "fault", [f.closes, f.resets, f.is_silent, f.is_cut_within_its_length, f.speaks_no_http]
)
def test_tracebacks_do_not_show_credentials(fault: f.Fault, call: str, way: str) -> None:
    with Lab(fault, to=to(call)) as lab:
        options: dict[str, Any] = {"retry": None, "timeout": Timeouts(first_byte=0.2, read=0.2)}
        error = play(way, lab.url, call, **options)[0].error
    if error is None:
        return  # a stream whose end was cut after it was complete
    frames = traceback.TracebackException(
        type(error), error, error.__traceback__, capture_locals=True
    )
    shown = "".join(frames.format())
    assert "_http" in shown
    assert_unseen(shown)
    gc.collect()


# Arguments.


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "half \udc80"},
        {"X-A": "b\r\nAuthorization: Bearer other"},
        {"X-A": "b\nX-B: c"},
        {"X-A": "b\rX-B: c"},
        {"X-A": "b\0"},
        {"X-A\r\nX-B": "c"},
        {"X-A: b\r\nX-B": "c"},
        {"X A": "b"},
        {"X-Á": "b"},
        {"": "b"},
        {":path": "/x"},
        {"Authorization": "Bearer other"},
        {"authorization": "Bearer other"},
        {"Host": "other.test"},
        {"Content-Length": "0"},
        {"Transfer-Encoding": "chunked"},
    ],
)
def test_rejects_headers(headers: dict[str, str]) -> None:
    for make in (DataClient, AsyncDataClient):
        with pytest.raises((ValidationError, ConfigurationError)):
            make(base_url="http://127.0.0.1:9", project="acme", api_key=KEY, headers=headers)


@WAYS
def test_sends_headers(way: str) -> None:
    headers = {
        "X-Team": "blue",
        "user-agent": "mine/1",
        "ACCEPT": "application/json",
        "idempotency-key": "mine",
        "content-type": "text/plain",
    }
    raw: list[bytes] = []

    class Seeing(Lab):
        async def _answer(self, connection: Connection, request: Request) -> None:
            raw.append(repr(request.headers).encode())
            await super()._answer(connection, request)

    with Seeing() as lab:
        played, _ = play(way, lab.url, "generate_text", headers=headers)
    assert played.error is None
    sent = lab.requests[0].headers
    assert (sent["x-team"], sent["user-agent"], sent["accept"]) == (
        "blue",
        "mine/1",
        "application/json",
    )
    assert sent["authorization"] == f"Bearer {KEY}"
    assert sent["content-type"] == "application/json"
    assert len(sent["idempotency-key"]) == 32


BAD_PATHS = [
    "a/b",
    "..",
    "../x",
    "a%2fb",
    "a?b",
    "a#b",
    "a b",
    "a\r\nb",
    "a\nX: y",
    "a\0b",
    "a\\b",
    "",
    " ",
    ".",
]


@pytest.mark.parametrize("project", BAD_PATHS)
def test_rejects_projects(project: str) -> None:
    with FaultServer() as server:
        management = ManagementClient(base_url=server.url, sdk_token=TOKEN)
        calls: list[Any] = [
            lambda: DataClient(base_url=server.url, project=project, api_key=KEY).endpoint("bot"),
            lambda: management.list_workloads(project=project),
            lambda: management.get_workload("bot", project=project),
            lambda: management.delete("bot", project=project),
            lambda: management.readiness_events("bot", project=project),
            lambda: management.wait_until_ready("bot", project=project, silent=True),
            lambda: management.ensure(
                WorkloadSpec(name="a", slug="a", model="m", backend="vllm"), project=project
            ),
        ]
        for call in calls:
            with pytest.raises((ValidationError, ConfigurationError)):
                call()
        assert server.connections == []


@pytest.mark.parametrize(
    "slug", ["a/../b", "a%2fb", "a?b#c", "a\r\nX-Y: z", "../../api", "a\0b", "Ünï"]
)
def test_a_slug_cannot_change_the_path(slug: str) -> None:
    with Lab() as lab, DataClient(base_url=lab.url, project="acme", api_key=KEY) as data:
        data.endpoint(slug).generate_text(prompt="x")
        with ManagementClient(base_url=lab.url, project="acme", sdk_token=TOKEN) as management:
            list(management.readiness_events(slug))
    for request in lab.requests:
        parts = request.path.split("/")
        assert set(parts[3 if parts[1] == "endpoint" else 5]) <= set(
            "abcdefghijklmnopqrstuvwxyz0123456789-"
        )
        assert len(parts) == 7
        assert "x-y" not in request.headers


@pytest.mark.parametrize(
    "key", [f"{KEY}\r\nX-A: b", f"{KEY}\nX", "k y", "k\0y", "clé", "k\x7f", f"{KEY}\u2028x"]
)
def test_rejects_keys(key: str) -> None:
    common: dict[str, Any] = {"base_url": "http://127.0.0.1:9", "project": "acme"}
    with pytest.raises(ConfigurationError) as caught:
        DataClient(**common).endpoint("bot", api_key=key)
    assert key not in str(caught.value)
    with pytest.raises(ConfigurationError):
        DataClient(api_key=key, **common).endpoint("bot")
    with pytest.raises(ConfigurationError) as caught:
        ManagementClient(sdk_token=key.replace("ik_live_", "ik_sdk_"), **common)
    assert_unseen(str(caught.value))


def test_keys_of_the_wrong_kind_are_not_sent() -> None:
    with FaultServer() as server:
        with pytest.raises(PermissionDenied) as caught:
            ManagementClient(base_url=server.url, project="acme", sdk_token=KEY)
        assert_unseen(str(caught.value))
        with pytest.raises(PermissionDenied) as caught:
            DataClient(base_url=server.url, project="acme").endpoint("bot", api_key=TOKEN)
        assert_unseen(str(caught.value))
        assert server.connections == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "host:80",
        "//host",
        "http://",
        "http://user:pa55word@host",
        "http://host\r\nX-A: b",
        "http://host\nhost",
        "http://ho st",
        "http://host?x=1",
        "http://host#x",
        "http://host:99999",
        "http://host:x",
        "file:///etc/passwd",
        "http://[::1",
    ],
)
def test_rejects_base_urls(url: str) -> None:
    for make in (DataClient, AsyncDataClient):
        with pytest.raises(ConfigurationError, match="base_url must be like") as caught:
            make(base_url=url, project="acme", api_key=KEY)
        assert "pa55word" not in str(caught.value)


# Plain http.


def test_plain_http_warns_once_for_each_host() -> None:
    def made(url: str) -> list[str]:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            DataClient(base_url=url, project="acme", api_key=KEY)
            AsyncManagementClient(base_url=url, project="acme", sdk_token=TOKEN)
        assert all(issubclass(warning.category, InsecureTransportWarning) for warning in said)
        assert all(warning.filename == __file__ for warning in said)
        return [str(warning.message) for warning in said]

    [warning] = made("http://platform.test")
    assert "http://platform.test uses plain http" in warning
    assert_unseen(warning)
    assert made("http://platform.test") == []
    assert len(made("http://other.test:8080/base")) == 1
    for quiet in (
        "https://platform.test",
        "http://127.0.0.1:4747",
        "http://localhost:4747",
        "http://[::1]:4747",
        "http://a.localhost",
    ):
        assert made(quiet) == []


# TLS.


@pytest.fixture(scope="module")
def authority() -> Any:
    return pytest.importorskip("trustme").CA()


def server_context(authority: Any, *names: str, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


def client_context(authority: Any, identity: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if identity is not None:
        authority.issue_cert(identity).configure_cert(context)
    return context


@WAYS
@pytest.mark.parametrize("call", ["generate_text", "generate_text_stream", "list_workloads"])
def test_a_custom_ca(call: str, way: str, authority: Any) -> None:
    with Lab() as lab, TLSFront(server_context(authority, "127.0.0.1"), lab.port) as front:
        url = f"https://127.0.0.1:{front.port}"
        assert play(way, url, call, ssl=client_context(authority))[0].error is None
        refused = play(way, url, call, retry=RetryPolicy(base=0.001))[0].error
    assert type(refused) is TransportError
    assert "certificate" in str(refused)
    assert "ssl=" in str(refused)
    assert refused.attempts == 1
    assert len(lab.requests) == 1, "nothing is sent to a server that is not known"


@WAYS
def test_the_name_is_checked(way: str, authority: Any) -> None:
    with Lab() as lab, TLSFront(server_context(authority, "other.test"), lab.port) as front:
        error = play(
            way, f"https://127.0.0.1:{front.port}", "embed", ssl=client_context(authority)
        )[0].error
    assert type(error) is TransportError
    assert "certificate" in str(error)
    assert lab.requests == []


@WAYS
def test_a_client_certificate(way: str, authority: Any) -> None:
    with (
        Lab() as lab,
        TLSFront(server_context(authority, "127.0.0.1", asks=True), lab.port) as front,
    ):
        url = f"https://127.0.0.1:{front.port}"
        assert (
            play(way, url, "embed", ssl=client_context(authority, "me@acme.test"))[0].error is None
        )
        assert ("email", "me@acme.test") in front.certificate["subjectAltName"]
        error = play(way, url, "embed", ssl=client_context(authority), retry=None)[0].error
    assert isinstance(error, TransportError)
    assert len(lab.requests) == 1


# Proxies.


@pytest.fixture
def insecure() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureTransportWarning)
        yield


@WAYS
@pytest.mark.parametrize("call", ["generate_text", "generate_text_stream", "delete"])
@pytest.mark.parametrize("how", ["argument", "http_proxy", "HTTP_PROXY", "all_proxy", "bare"])
def test_a_proxy_for_plain_http(
    how: str, call: str, way: str, insecure: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lab() as lab, Proxy(lab.port) as proxy:
        options = {}
        if how == "argument":
            options["proxy"] = proxy.url
        elif how == "bare":
            monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
        else:
            monkeypatch.setenv(how, proxy.url)
        played, _ = play(way, "http://platform.test", call, **options)
    assert played.error is None
    assert f" http://platform.test{lab.requests[0].path} " in proxy.heads[0]
    assert lab.requests[0].headers["host"] == "platform.test"


@WAYS
@pytest.mark.parametrize("how", ["argument", "https_proxy", "all_proxy"])
def test_a_proxy_for_https_never_sees_the_credential(
    how: str, way: str, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Lab() as lab,
        TLSFront(server_context(authority, "platform.test"), lab.port) as front,
        Proxy(front.port) as proxy,
    ):
        options = {"ssl": client_context(authority)}
        if how == "argument":
            options["proxy"] = proxy.url
        else:
            monkeypatch.setenv(how, proxy.url)
        for call in ("generate_text", "generate_text_stream"):
            assert play(way, "https://platform.test", call, **options)[0].error is None
    assert lab.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert {head.split("\r\n")[0] for head in proxy.heads} == {"CONNECT platform.test:443 HTTP/1.1"}
    assert_unseen("".join(proxy.heads))
    assert "authorization" not in "".join(proxy.heads).lower()


@WAYS
@pytest.mark.parametrize("base", ["http://127.0.0.1:{port}", "http://localhost:{port}"])
def test_loopback_is_never_proxied(base: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lab() as lab, Proxy(lab.port) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert play(way, base.format(port=lab.port), "embed")[0].error is None
        assert play(way, base.format(port=lab.port), "embed", proxy=proxy.url)[0].error is None
        assert proxy.heads == []


@pytest.mark.parametrize("excepted", ["platform.test", ".test", "*", "other.test,platform.test"])
def test_no_proxy_of_the_environment(
    excepted: str, insecure: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", excepted)
    assert (
        AsyncDataClient(base_url="http://platform.test", project="acme")._transport._proxy is None
    )
    elsewhere = AsyncDataClient(base_url="http://else.where", project="acme")._transport._proxy
    assert (elsewhere is None) is (excepted == "*")
    monkeypatch.delenv("no_proxy")
    assert (
        AsyncDataClient(base_url="http://platform.test", project="acme")._transport._proxy
        is not None
    )
    assert (
        AsyncDataClient(base_url="http://platform.test", project="acme", proxy="")._transport._proxy
        is None
    )


@WAYS
@pytest.mark.parametrize("base", ["http://platform.test", "https://platform.test"])
@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses(status: int, base: str, way: str, insecure: None) -> None:
    with Lab() as lab, Proxy(lab.port, refuse=status) as proxy:
        url = proxy.url.replace("://", "://user:pa55word@")
        error = play(way, base, "embed", proxy=url, retry=None)[0].error
    assert isinstance(error, InferenceKeyError)
    assert "pa55word" not in "\n".join([str(error), repr(error), *everything(vars(error))])
    assert "proxy-authorization: basic " in proxy.heads[0].lower()
    assert lab.requests == []


def test_a_proxys_password_is_a_secret(insecure: None, monkeypatch: pytest.MonkeyPatch) -> None:
    common: dict[str, Any] = {"base_url": "http://platform.test", "project": "acme", "api_key": KEY}
    url = "http://user:pa55word@127.0.0.1:9"
    made = [DataClient(proxy=url, **common), AsyncDataClient(proxy=url, **common)]
    monkeypatch.setenv("http_proxy", url)
    made += [DataClient(**common), AsyncDataClient(**common)]
    for client in made:
        shown = "\n".join([repr(client), *everything(client)])
        assert "pa55word" not in shown
    error = play("sync", "http://platform.test", "embed", retry=None)[0].error
    assert isinstance(error, TransportError)
    frames = traceback.TracebackException(
        type(error), error, error.__traceback__, capture_locals=True
    )
    for frame in frames.stack:
        if "tests" not in Path(frame.filename).parts:
            assert "pa55word" not in repr(frame.locals)


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://127.0.0.1:9",
        "nonsense",
        "http://",
        "http://h\r\nX: y",
        "ftp://host",
        "http://user:pa55word@:9",
    ],
)
def test_rejects_proxies(proxy: str, insecure: None, monkeypatch: pytest.MonkeyPatch) -> None:
    common: dict[str, Any] = {"base_url": "http://platform.test", "project": "acme", "api_key": KEY}
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        DataClient(proxy=proxy, **common)
    assert "pa55word" not in str(caught.value)
    if "\r" not in proxy and "://" in proxy:
        monkeypatch.setenv("all_proxy", proxy)
        with pytest.raises(ConfigurationError, match="proxy"):
            DataClient(**common)


# netrc.


@WAYS
@pytest.mark.parametrize("call", [call for call in CALLS if call != "readiness_events"])
def test_netrc_is_never_read(
    call: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    entries = ("machine 127.0.0.1", "machine localhost", "default")
    netrc.write_text("".join(f"{entry} login me password pa55word\n" for entry in entries))
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(netrc.read_text())
    (tmp_path / ".netrc").chmod(0o600)
    with Lab() as lab:
        for url in (lab.url, lab.url.replace("127.0.0.1", "localhost")):
            assert play(way, url, call)[0].error is None
    ours = f"Bearer {KEY}" if lab.requests[0].path.startswith("/endpoint") else f"Bearer {TOKEN}"
    assert {request.headers["authorization"] for request in lab.requests} == {ours}


# Cookies.


@WAYS
def test_cookies_are_not_kept(way: str) -> None:
    async def bakes(connection: Connection, request: Request, body: bytes) -> None:
        await connection.send(json_response(body, set_cookie="id=1; Path=/"))

    with Lab(bakes) as lab:
        _, second = play(way, lab.url, "generate_text", again=lambda: None)
    assert second is not None
    assert second.error is None
    assert all("cookie" not in request.headers for request in lab.requests)


def test_two_keys_of_one_client_share_its_connections() -> None:
    """A credential belongs to a request and not to a connection."""

    async def main() -> None:
        async with AsyncDataClient(base_url=lab.url, project="acme") as data:
            for key in (KEY, OTHER_KEY, KEY):
                await data.endpoint("bot", api_key=key).generate_text(prompt="x")

    with Lab() as lab:
        asyncio.run(main())
    assert [r.headers["authorization"] for r in lab.requests] == [
        f"Bearer {key}" for key in (KEY, OTHER_KEY, KEY)
    ]
    assert len(lab.connections) == 1
