"""Shared by the tests of the core: recorded exchanges, and streams that are cut everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
MARK = b"===== RESPONSE (exact bytes) =====\n"


@attrs.frozen
class Exchange:
    """A recorded response, without its chunked framing."""

    status: int
    headers: dict[str, str]
    body: bytes


def _unchunked(data: bytes) -> bytes:
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        whole += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return whole


def _exchange(path: Path) -> Exchange:
    _, _, answer = path.read_bytes().partition(MARK)
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if headers.get("transfer-encoding") == "chunked":
        body = _unchunked(body)
    return Exchange(int(first.split()[1]), headers, body)


@pytest.fixture(scope="session")
def capture() -> Callable[[str], Exchange]:
    """Return the function that reads ``folder/name`` of the recorded exchanges."""
    return lambda name: _exchange(CAPTURES / f"{name}.http")


def _cuts(data: bytes) -> Iterator[list[bytes]]:
    yield [data]
    for at in range(len(data) + 1):
        yield [data[:at], data[at:]]
    yield [data[at : at + 1] for at in range(len(data))]


@pytest.fixture(scope="session")
def cuts() -> Callable[[bytes], Iterator[list[bytes]]]:
    """Return a function that yields bytes whole, in two parts at every place, and byte by byte."""
    return _cuts
