"""What every request passes through."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platforms import Running, running, workload_body

from inferencekey.config import is_loopback
from inferencekey.local.http.hosts import HostRules, is_wildcard

WORKLOADS = "/api/projects/acme/workloads"
CHAT = "/endpoint/acme/bot/v1/chat/completions"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only named, never bound


# The rules


@pytest.mark.parametrize(
    ("listening", "host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1:4747", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.8.8.8:1", True),
        ("127.0.0.1", "localhost:4747", True),
        ("127.0.0.1", "LOCALHOST", True),
        ("127.0.0.1", "[::1]:4747", True),
        ("127.0.0.1", "evil.example:4747", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "127.0.0.1@evil.example", False),
        ("127.0.0.1", "192.168.1.5:4747", False),
        ("127.0.0.1", "box:4747", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "127.0.0.1:port", False),
        ("127.0.0.1", "[::1", False),
        ("127.0.0.1", "127.0.0.1/x", False),
        ("192.168.1.5", "192.168.1.5:4747", True),
        ("192.168.1.5", "192.168.1.6:4747", False),
        ("My.Lan.Example", "my.lan.example:4747", True),
        (EVERYWHERE, "192.168.1.5:4747", True),
        ("::", "[fd00::1]:4747", True),
        (EVERYWHERE, "box:4747", True),
        (EVERYWHERE, "BOX", True),
        (EVERYWHERE, "evil.example", False),
    ],
)
def test_which_hosts_are_served(listening: str, host: str, allowed: bool) -> None:
    rules = HostRules(listening, "box")
    assert rules.allows(host) is allowed
    assert (rules.reason_to_refuse({"Host": host}) is None) is allowed


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:4747"}, True),
        ({"Origin": "HTTP://127.0.0.1:4747"}, True),
        ({"Origin": "http://127.0.0.1:3000"}, False),
        ({"Origin": "http://localhost:4747"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_which_pages_may_send_requests(headers: dict[str, str], allowed: bool) -> None:
    rules = HostRules("127.0.0.1", "box")
    assert (rules.reason_to_refuse({"Host": "127.0.0.1:4747", **headers}) is None) is allowed


@given(st.text())
def test_no_host_breaks_the_rules(host: str) -> None:
    assert HostRules("127.0.0.1", "box").allows(host) in (True, False)


@pytest.mark.parametrize(
    ("host", "loopback", "wildcard"),
    [
        ("127.0.0.1", True, False),
        ("::1", True, False),
        ("LocalHost", True, False),
        (EVERYWHERE, False, True),
        ("::", False, True),
        ("", False, True),
        ("example.com", False, False),
        ("192.168.1.5", False, False),
    ],
)
def test_what_is_loopback_and_what_a_wildcard(host: str, loopback: bool, wildcard: bool) -> None:
    assert (is_loopback(host), is_wildcard(host)) == (loopback, wildcard)


# On the wire


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def local(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("guard") / "data") as started:
        yield started


pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
@pytest.mark.parametrize("path", [WORKLOADS, "/healthz", CHAT])
async def test_foreign_requests_are_refused_before_anything_else(
    local: Running, headers: dict[str, str], path: str
) -> None:
    answer = await local.call("GET", path, headers=headers)
    assert answer.status == 403
    said = answer.body["error"]
    assert "evil.example" in (said["message"] if path == CHAT else said)
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_preflight_gets_no_permission(local: Running) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = await local.call("OPTIONS", CHAT, headers=headers)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_every_answer_has_a_request_id_of_its_own(local: Running) -> None:
    answers = [
        await local.call(*call)
        for call in (("GET", "/healthz"), ("GET", "/nope"), ("POST", CHAT), ("PUT", WORKLOADS))
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 4
    log = (local.platform.data_dir / "logs" / "platform.log").read_text()
    assert all(name in log for name in ids)


async def test_health_needs_no_token(local: Running) -> None:
    answer = await local.call("GET", "/healthz", token="")
    assert (answer.status, answer.body) == (200, {"status": "ok"})


async def test_unknown_paths_and_methods_speak_the_planes_language(local: Running) -> None:
    assert (await local.call("GET", "/api/nope")).body == {"error": "no such path"}
    wrong = await local.call("PUT", WORKLOADS)
    assert (wrong.status, wrong.body) == (405, {"error": "method not allowed"})
    assert "POST" in wrong.headers["Allow"]
    await local.create("bot")
    nowhere = await local.call("POST", "/endpoint/acme/bot/v1/nope")
    assert nowhere.body == {
        "error": {"message": "no such path", "type": "not_found_error", "code": None}
    }
    wrong = await local.call("GET", CHAT)
    assert wrong.status == 405
    assert wrong.body["error"]["type"] == "invalid_request_error"


async def test_the_control_plane_takes_no_more_than_a_mebibyte(local: Running) -> None:
    body = json.dumps(workload_body(description="x" * 1024 * 1024)).encode()
    answer = await local.call("POST", WORKLOADS, data=io.BytesIO(body))
    assert (answer.status, set(answer.body)) == (413, {"error"})
    assert "1048576 bytes" in answer.body["error"]


async def test_a_body_that_grows_on_the_way_is_cut_off(local: Running) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        for _ in range(40):
            yield b"x" * 64 * 1024

    answer = await local.call("POST", WORKLOADS, data=endless())
    assert answer.status == 413


async def test_a_body_that_unpacks_to_too_much_is_cut_off(local: Running) -> None:
    bomb = gzip.compress(b'{"name": "' + b"x" * 50_000_000 + b'"}')
    answer = await local.call("POST", WORKLOADS, data=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status == 413


@pytest.mark.engine
async def test_the_data_plane_takes_no_more_than_sixteen_mebibytes(local: Running) -> None:
    made = await local.create("ranker", task_type="reranker")
    path = f"/endpoint/acme/{made['slug']}/v1/rerank"
    answer = await local.call("POST", path, data=io.BytesIO(b" " * (16 * 1024 * 1024 + 1)))
    assert answer.status == 413
    assert answer.body["error"]["type"] == "invalid_request_error"
    await local.call("DELETE", f"/api/workloads/{made['id']}")


async def test_a_token_is_looked_at_before_the_body_is_read(local: Running) -> None:
    """A caller without a token cannot make the platform read what it sends."""
    parts = urlsplit(local.platform.base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        f"POST {WORKLOADS} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 1000\r\n\r\n".encode()
    )
    status = await asyncio.wait_for(reader.readline(), 5)
    assert b" 401 " in status
    writer.close()
    await writer.wait_closed()


async def test_no_secret_gets_into_the_log(local: Running) -> None:
    unknown = "ik_live_0123abcd_" + "5" * 64
    await local.call("GET", WORKLOADS, token=unknown)
    await local.call("GET", f"/endpoint/acme/{unknown}/v1/models?key={unknown}")
    await local.call(
        "POST", WORKLOADS, json=workload_body("leaky", config={"command": f"x --key {unknown}"})
    )
    log = (local.platform.data_dir / "logs" / "platform.log").read_text()
    assert "ik_live_0123abcd…" in log
    for secret in (unknown, local.sdk, local.live):
        assert secret not in log
        assert secret.rpartition("_")[2] not in log


async def test_an_unexpected_error_is_a_500_that_tells_only_the_log(
    local: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the inside story")

    monkeypatch.setattr(local.platform._opened, "workloads", broken)
    answer = await local.call("GET", WORKLOADS)
    assert answer.status == 500
    assert set(answer.body) == {"error"}
    assert "inside story" not in json.dumps(answer.body)
    assert answer.headers["x-request-id"] in answer.body["error"]
    log = (local.platform.data_dir / "logs" / "platform.log").read_text()
    assert "RuntimeError: the inside story" in log


@pytest.mark.parametrize("slug", ["%2e%2e", "..%2f..", "a%00b", "%F0%9F%99%82", "a" * 3000])
async def test_odd_paths_are_answered_calmly(local: Running, slug: str) -> None:
    for path in (
        f"/endpoint/acme/{slug}/v1/models",
        f"/api/projects/{slug}/workloads",
        f"/api/workloads/{slug}",
    ):
        answer = await local.call("GET", path)
        assert answer.status in (400, 403, 404, 405), answer


def test_the_log_is_for_its_owner_only(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path / "data") as started:
            logs = started.platform.data_dir / "logs"
            assert logs.stat().st_mode & 0o777 == 0o700
            assert (logs / "platform.log").stat().st_mode & 0o777 == 0o600

    asyncio.run(run())
