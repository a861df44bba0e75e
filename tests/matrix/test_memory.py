"""A server that sends too much does not fill the memory."""

from __future__ import annotations

import tracemalloc

import pytest
from faults import scripts as f
from faults.calls import faulty as to
from faults.calls import play
from faults.lab import Lab

from inferencekey import ApiError, ResponseFormatError

MB = 1_000_000


@pytest.mark.parametrize("way", ["async", "sync"])
@pytest.mark.parametrize(
    "call",
    ["generate_text", "generate_text_stream", "list_workloads", "delete", "wait_until_ready"],
)
@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_huge_error_page(encoding: str | None, call: str, way: str) -> None:
    fault = f.sends_a_huge_page(500, encoding=encoding)
    with Lab(fault, to=to(call)) as lab:
        tracemalloc.start()
        try:
            first, _ = play(way, lab.url, call, retry=None)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert isinstance(first.error, ApiError)
        assert first.error.status == 500
        assert len(str(first.error)) < 1000
        assert len(first.error.body or "") <= 8192
        assert peak < 6 * MB  # the buffers of the server count, too
        # The client does not read twenty megabytes to save a connection.
        assert encoding or lab.ended(lab.connections[0])


@pytest.mark.parametrize("way", ["async", "sync"])
def test_a_huge_page_instead_of_a_stream(way: str) -> None:
    with Lab(f.sends_a_huge_page(200)) as lab:
        tracemalloc.start()
        try:
            first, _ = play(way, lab.url, "generate_text_stream", retry=None)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert type(first.error) is ResponseFormatError
        assert len(str(first.error)) < 1000
        assert peak < 6 * MB
