"""The checks, the log and the errors of every request."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
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
def test_serves_only_hosts_of_this_machine(listening: str, host: str, allowed: bool) -> None:
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
def test_serves_only_pages_of_the_platform_itself(headers: dict[str, str], allowed: bool) -> None:
    rules = HostRules("127.0.0.1", "box")
    assert (rules.reason_to_refuse({"Host": "127.0.0.1:4747", **headers}) is None) is allowed


@given(st.text())
def test_accepts_or_refuses_any_host_without_an_exception(host: str) -> None:
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
def test_recognises_loopback_addresses_and_wildcards(
    host: str, loopback: bool, wildcard: bool
) -> None:
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
async def test_refuses_requests_of_other_hosts_and_origins_on_every_path(
    local: Running, headers: dict[str, str], path: str
) -> None:
    response = await local.call("GET", path, headers=headers)
    assert response.status == 403
    error = response.body["error"]
    assert "evil.example" in (error["message"] if path == CHAT else error)
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_preflight_request_is_refused(local: Running) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    response = await local.call("OPTIONS", CHAT, headers=headers)
    assert response.status == 403
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


async def test_every_response_has_its_own_request_id(local: Running) -> None:
    responses = [
        await local.call(*call)
        for call in (("GET", "/healthz"), ("GET", "/nope"), ("POST", CHAT), ("PUT", WORKLOADS))
    ]
    ids = [response.headers["x-request-id"] for response in responses]
    assert len(set(ids)) == 4
    log = (local.platform.data_dir / "logs" / "platform.log").read_text()
    assert all(name in log for name in ids)


async def test_the_health_route_needs_no_token(local: Running) -> None:
    response = await local.call("GET", "/healthz", token="")
    assert (response.status, response.body) == (200, {"status": "ok"})


async def test_unknown_paths_and_methods_get_the_error_format_of_their_plane(
    local: Running,
) -> None:
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


async def test_the_control_plane_refuses_bodies_above_one_mebibyte(local: Running) -> None:
    body = json.dumps(workload_body(description="x" * 1024 * 1024)).encode()
    response = await local.call("POST", WORKLOADS, data=io.BytesIO(body))
    assert (response.status, set(response.body)) == (413, {"error"})
    assert "1048576 bytes" in response.body["error"]


async def test_refuses_a_chunked_body_above_the_limit(local: Running) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        for _ in range(40):
            yield b"x" * 64 * 1024

    response = await local.call("POST", WORKLOADS, data=endless())
    assert response.status == 413


async def test_refuses_a_compressed_body_above_the_limit(local: Running) -> None:
    bomb = gzip.compress(b'{"name": "' + b"x" * 50_000_000 + b'"}')
    response = await local.call("POST", WORKLOADS, data=bomb, headers={"Content-Encoding": "gzip"})
    assert response.status == 413


@pytest.mark.engine
async def test_the_data_plane_refuses_bodies_above_sixteen_mebibytes(local: Running) -> None:
    made = await local.create("ranker", task_type="reranker")
    path = f"/endpoint/acme/{made['slug']}/v1/rerank"
    response = await local.call("POST", path, data=io.BytesIO(b" " * (16 * 1024 * 1024 + 1)))
    assert response.status == 413
    assert response.body["error"]["type"] == "invalid_request_error"
    await local.call("DELETE", f"/api/workloads/{made['id']}")


async def test_checks_the_token_before_it_reads_the_body(local: Running) -> None:
    """A caller without a token cannot make the platform read a body."""
    parts = urlsplit(local.platform.base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST {WORKLOADS} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 1000\r\n\r\n"
    writer.write(head.encode())
    status = await asyncio.wait_for(reader.readline(), 5)
    assert b" 401 " in status
    writer.close()
    await writer.wait_closed()


async def test_the_log_contains_no_secret(local: Running) -> None:
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


async def test_an_unexpected_error_is_logged_and_gets_500_without_details(local: Running) -> None:
    with closing(sqlite3.connect(local.platform.data_dir / "platform.db")) as connection:
        connection.execute("ALTER TABLE workloads RENAME TO hidden")
        response = await local.call("GET", WORKLOADS)
        connection.execute("ALTER TABLE hidden RENAME TO workloads")
    assert response.status == 500
    assert set(response.body) == {"error"}
    assert "no such table" not in json.dumps(response.body)
    assert response.headers["x-request-id"] in response.body["error"]
    log = (local.platform.data_dir / "logs" / "platform.log").read_text()
    assert "no such table: workloads" in log
    assert "Traceback" in log


@pytest.mark.parametrize("slug", ["%2e%2e", "..%2f..", "a%00b", "%F0%9F%99%82", "a" * 3000])
async def test_unusual_paths_get_a_normal_error(local: Running, slug: str) -> None:
    for path in (
        f"/endpoint/acme/{slug}/v1/models",
        f"/api/projects/{slug}/workloads",
        f"/api/workloads/{slug}",
    ):
        response = await local.call("GET", path)
        assert response.status in (400, 403, 404, 405), response


def test_only_its_owner_can_read_the_log(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path / "data") as started:
            logs = started.platform.data_dir / "logs"
            assert logs.stat().st_mode & 0o777 == 0o700
            assert (logs / "platform.log").stat().st_mode & 0o777 == 0o600

    asyncio.run(run())
