"""The fault matrix: what a server does wrong, for each call, and what the caller gets.

``TABLE`` is for the async and the sync clients. ``PLAIN`` has the cells that are different with
plain aiohttp classes, which are used with an untested version of aiohttp.

Every cell makes the call a second time after the server was healed, and that call succeeds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec

import pytest
from faults import Connection, FaultServer
from faults import scripts as f
from faults.calls import KEY, play, refused
from faults.calls import faulty as to
from faults.lab import Lab

from inferencekey import (
    ApiError,
    AuthError,
    InferenceKeyError,
    NotFoundError,
    PermissionDenied,
    RateLimitError,
    ReadinessTimeout,
    RequestTimeout,
    ResponseFormatError,
    RetryPolicy,
    ServerError,
    StreamInterrupted,
    Timeouts,
    TransportError,
    ValidationError,
)

WAYS = ("async", "sync")
UNARY = ("generate_text", "embed", "rerank", "list_workloads", "delete")
READ = ("generate_text", "embed", "rerank", "list_workloads")
"""Calls that read the body of their response; ``delete`` uses only the status."""
TEXT = ("generate_text_stream",)
WAIT = ("wait_until_ready",)
ANY = (*UNARY, *TEXT)
QUICK = RetryPolicy(base=0.001)


@dataclass(frozen=True)
class Outcome:
    """How a call ends.

    Args:
        error: the class of the error, or ``None``.
        text: a regular expression that is found in its text.
        status: of the error.
        attempts: of the error.
        requests: how many requests got the fault.
        reused: whether the next call uses the same connection; ``None`` if that depends on timing.
        poisoned: whether the next call gets a response that was not requested; ``None`` if that
            depends on timing.
    """

    error: type[Exception] | None = None
    text: str = ""
    status: int | None = None
    attempts: int | None = 1
    requests: int = 1
    reused: bool | None = False
    poisoned: bool | None = False


FINE = Outcome(reused=True)
FINE_THEN_CLOSED = Outcome()
DROPPED = Outcome(TransportError, "^network error: ", attempts=3, requests=3)
DROPPED_STALE = Outcome(TransportError, "^network error: ", attempts=4, requests=4)
"""A delete uses the connection of the list before it, so its first attempt is a stale one."""
SILENT = Outcome(RequestTimeout, "silent for longer")
SILENT_LATE = Outcome(RequestTimeout, "silent for longer", status=200)
CUT = Outcome(TransportError, "cut short", status=200)
NOT_JSON = Outcome(
    ResponseFormatError, "^unexpected response: .* is not JSON", status=200, reused=True
)
MISSING_FIELD = Outcome(ResponseFormatError, "^unexpected response: ", status=200, reused=True)
"""Half a character is read as U+FFFD, and the name of a field with one is another name."""
NOT_A_STREAM = Outcome(
    ResponseFormatError, "^unexpected response: .*stream", status=200, reused=True
)
UNDECODED = Outcome(ResponseFormatError, "encoding")
# Without brotli, aiohttp refuses the head. With it, aiohttp reads the body and finds it malformed.
MALFORMED_BROTLI = Outcome(
    ResponseFormatError, "encoding", status=200 if find_spec("brotli") else None
)
NOT_HTTP = Outcome(ResponseFormatError, "not valid HTTP")
NEVER_READY = Outcome(ReadinessTimeout, "not ready within 0.5 s", attempts=None)

TABLE: list[tuple[str, f.Fault, tuple[str, ...], Outcome]] = [
    # No response.
    ("closes", f.closes, (*READ, *TEXT), DROPPED),
    ("resets", f.resets, (*READ, *TEXT), DROPPED),
    ("half-closes", f.half_closes, (*READ, *TEXT), DROPPED),
    ("closes", f.closes, ("delete",), DROPPED_STALE),
    ("resets", f.resets, ("delete",), DROPPED_STALE),
    ("half-closes", f.half_closes, ("delete",), DROPPED_STALE),
    ("is silent", f.is_silent, ANY, SILENT),
    ("is silent in the head", f.is_silent_in_the_head, ANY, SILENT),
    ("is silent in the body", f.is_silent_in_the_body, ANY, SILENT_LATE),
    ("closes", f.closes, WAIT, NEVER_READY),
    ("is silent", f.is_silent, WAIT, NEVER_READY),
    ("is silent in the head", f.is_silent_in_the_head, WAIT, NEVER_READY),
    ("is silent in the body", f.is_silent_in_the_body, WAIT, NEVER_READY),
    # Good responses in an unusual form.
    ("dribbles", f.dribbles, (*ANY, *WAIT), FINE),
    ("dribbles chunks", f.dribbles_chunks, (*ANY, *WAIT), FINE),
    ("has no length", f.has_no_length, (*ANY, *WAIT), FINE_THEN_CLOSED),
    ("speaks HTTP/1.0", f.speaks_http_1_0, (*ANY, *WAIT), FINE_THEN_CLOSED),
    ("says 100 first", f.says_continue_first, (*ANY, *WAIT), FINE),
    ("says 103 first", f.gives_early_hints_first, (*ANY, *WAIT), FINE),
    ("gzips", f.gzips, (*ANY, *WAIT), FINE),
    ("deflates", f.deflates, (*ANY, *WAIT), FINE),
    ("deflates bare", f.deflates_without_a_header, (*ANY, *WAIT), FINE),
    ("goes on after its length", f.goes_on_after_its_length, (*ANY, *WAIT), FINE_THEN_CLOSED),
    ("speaks unasked", f.speaks_unasked, (*ANY, *WAIT), FINE_THEN_CLOSED),
    # Wrong encodings.
    ("cuts gzip", f.cuts_gzip, READ, NOT_JSON),
    (
        "lies about gzip",
        f.lies_about_gzip,
        (*ANY, *WAIT),
        Outcome(ResponseFormatError, "encoding", status=200),
    ),
    ("sends brotli", f.sends_brotli, (*ANY, *WAIT), MALFORMED_BROTLI),
    ("sends zstd", f.sends_zstd, (*ANY, *WAIT), UNDECODED),
    (
        "sends snappy",
        f.sends_an_unknown_encoding,
        (*ANY, *WAIT),
        Outcome(ResponseFormatError, "snappy", 200, reused=None),
    ),
    # Lengths and framing.
    ("ends before its length", f.ends_before_its_length, UNARY, CUT),
    ("ends before its length", f.ends_before_its_length, (*TEXT, *WAIT), FINE_THEN_CLOSED),
    ("is cut within its length", f.is_cut_within_its_length, UNARY, CUT),
    ("is cut within its length", f.is_cut_within_its_length, WAIT, NEVER_READY),
    ("is reset within its length", f.is_reset_within_its_length, UNARY, CUT),
    ("is cut in a chunk", f.is_cut_in_a_chunk, UNARY, CUT),
    ("has no last chunk", f.has_no_last_chunk, UNARY, CUT),
    ("has no last chunk", f.has_no_last_chunk, (*TEXT, *WAIT), FINE_THEN_CLOSED),
    (
        "breaks its framing",
        f.breaks_its_framing,
        UNARY,
        Outcome(TransportError, "malformed", status=200),
    ),
    (
        "breaks its framing",
        f.breaks_its_framing,
        TEXT,
        Outcome(StreamInterrupted, "malformed", status=200),
    ),
    ("breaks its framing", f.breaks_its_framing, WAIT, NEVER_READY),
    ("speaks no HTTP", f.speaks_no_http, (*ANY, *WAIT), NOT_HTTP),
    ("has a huge header", f.has_a_huge_header, (*ANY, *WAIT), NOT_HTTP),
    # Bodies.
    ("says nothing", f.says(b""), READ, NOT_JSON),
    ("says nothing", f.says(b""), ("delete",), FINE),
    (
        "says nothing",
        f.says(b"", "text/event-stream"),
        TEXT,
        Outcome(StreamInterrupted, "^network error: ", 200, reused=True),
    ),
    ("says HTML", f.says(b"<html><body>hi</body></html>", "text/html"), READ, NOT_JSON),
    ("says HTML", f.says(b"<html><body>hi</body></html>", "text/html"), TEXT, NOT_A_STREAM),
    ("says text", f.says(b"hello", "text/plain"), READ, NOT_JSON),
    ("truncates JSON", f.truncates_json, READ, NOT_JSON),
    (
        "truncates JSON",
        f.truncates_json,
        TEXT,
        Outcome(ResponseFormatError, "stream", status=200, reused=True),
    ),
    ("sends invalid UTF-8", f.sends_invalid_utf_8, READ, MISSING_FIELD),
    (
        "has no content",
        f.has_no_content,
        READ,
        Outcome(ResponseFormatError, "is not JSON", status=204, reused=True),
    ),
    (
        "has no content",
        f.has_no_content,
        TEXT,
        Outcome(StreamInterrupted, "before it was complete", status=204, reused=True),
    ),
    # Errors.
    (
        "refuses with 401",
        f.refuses(401),
        (*ANY, *WAIT),
        Outcome(AuthError, "^authentication failed: no$", 401, reused=True),
    ),
    (
        "refuses with 403",
        f.refuses(403),
        (*ANY, *WAIT),
        Outcome(PermissionDenied, r"^permission denied .forb", 403, reused=True),
    ),
    (
        "refuses with 404",
        f.refuses(404),
        (*READ, *TEXT, *WAIT),
        Outcome(NotFoundError, "^not found: no", 404, reused=True),
    ),
    ("refuses with 404", f.refuses(404), ("delete",), FINE),
    (
        "refuses with 400",
        f.refuses(400),
        (*ANY, *WAIT),
        Outcome(ValidationError, "^bad request: no$", 400, reused=True),
    ),
    (
        "refuses with 422",
        f.refuses(422),
        (*ANY, *WAIT),
        Outcome(ValidationError, "^bad request: no$", 422, reused=True),
    ),
    (
        "refuses with 429",
        f.refuses(429),
        ANY,
        Outcome(RateLimitError, "^api error .status 429.: no$", 429, 3, 3, True),
    ),
    (
        "refuses with 503",
        f.refuses(503),
        ANY,
        Outcome(ServerError, "^api error .status 503.: no$", 503, 3, 3, True),
    ),
    (
        "refuses with 503",
        f.refuses(503),
        WAIT,
        Outcome(ReadinessTimeout, "no$|not ready", attempts=None, reused=True),
    ),
    (
        "refuses in HTML",
        f.refuses(
            500,
            b"<!doctype html><head><title>Oops</title></head><h1>Engine &amp; all gone</h1>",
            "text/html",
        ),
        ("generate_text", "generate_text_stream", "delete"),
        Outcome(ServerError, "status 500.: Engine & all gone", 500, reused=True),
    ),
    (
        "refuses with garbage",
        f.refuses(400, b"\xff\xfe\x00"),
        ANY,
        Outcome(ValidationError, "^bad request: ", 400, reused=True),
    ),
]

WRONG = {
    "generate_text": [
        "null",
        "5",
        '"text"',
        "[]",
        "{}",
        '{"choices": []}',
        '{"choices": null}',
        '{"choices": [{}]}',
        '{"choices": [{"message": {"content": 5}}]}',
        '{"choices": {"0": {}}}',
        '{"choices": ["x"]}',
    ],
    "embed": [
        "null",
        "5",
        "[]",
        "{}",
        '{"data": []}',
        '{"data": null}',
        '{"data": [{}]}',
        '{"data": [{"embedding": "x"}]}',
        '{"data": [{"embedding": ["x"]}]}',
        '{"data": [{"index": 7, "embedding": [1.0]}]}',
    ],
    "rerank": [
        "null",
        "5",
        '"text"',
        "[]",
        "{}",
        '{"results": null}',
        '{"results": [{}]}',
        '{"results": [{"index": "a"}]}',
        '{"results": [{"index": 0, "relevance_score": "x"}]}',
        '{"results": [{"index": 9, "relevance_score": 1}]}',
    ],
    "list_workloads": [
        "5",
        '"text"',
        "{}",
        "[5]",
        '[{"id": "w"}]',
        '[{"id": 5, "slug": "bot"}]',
        '{"workloads": 5}',
        '[{"id": "w", "slug": "bot", "config": "x"}]',
        '[{"id": "w", "slug": "bot", "created_at": "soon"}]',
    ],
}
for _call, _bodies in WRONG.items():
    for _body in _bodies:
        TABLE.append(
            (
                f"says {_body}",
                f.says(_body.encode()),
                (_call,),
                Outcome(ResponseFormatError, "^unexpected response: ", 200, reused=True),
            )
        )
for _status in (301, 302, 303, 307, 308):
    for _where in ("/elsewhere", "http://other.test/"):
        TABLE.append(
            (
                f"redirects with {_status} to {_where}",
                f.redirects(_status, _where),
                (*ANY, *WAIT),
                Outcome(
                    ApiError,
                    rf"^api error .status {_status}.: redirected to {_where}; ",
                    _status,
                    reused=True,
                ),
            )
        )

RESENT = Outcome(TransportError, "^network error: ", attempts=3, requests=6)
RESENT_STALE = Outcome(TransportError, "^network error: ", attempts=4, requests=8)
POISONED = Outcome(reused=None, poisoned=True)

PLAIN: dict[str, dict[str, Outcome]] = {
    # aiohttp sends every GET and DELETE twice, and the policy does not notice.
    "closes": {"list_workloads": RESENT, "delete": RESENT_STALE},
    "resets": {"list_workloads": RESENT, "delete": RESENT_STALE},
    "half-closes": {"list_workloads": RESENT, "delete": RESENT_STALE},
    # aiohttp does not end the reader of a body after a malformed chunk; the limit on silence does.
    "breaks its framing": dict.fromkeys(ANY, SILENT_LATE),
    # aiohttp reads what an idle connection received as the response to the next request.
    "speaks unasked": {
        **dict.fromkeys(ANY, POISONED),
        # A wait closes its stream as soon as the workload is ready, and whether the connection is
        # in the pool when the second response arrives depends on when the last bytes did.
        **dict.fromkeys(WAIT, Outcome(reused=None, poisoned=None)),
    },
}
"""The cells that are different with plain aiohttp classes, by fault and call."""

CELLS = [
    pytest.param(way, fault, call, outcome, False, id=f"{name}-{call}-{way}")
    for name, fault, calls, outcome in TABLE
    for call in calls
    for way in WAYS
]
# The async clients are enough, because only the transport is different. The poisoned connection is
# tested with the sync ones: aiohttp leaves a cancelled task there for one turn of the loop.
CELLS += [
    pytest.param(
        "sync" if name == "speaks unasked" else "async",
        fault,
        call,
        PLAIN.get(name, {}).get(call, outcome),
        True,
        id=f"{name}-{call}-plain",
    )
    for name, fault, calls, outcome in TABLE
    for call in calls
]


@pytest.mark.parametrize(("way", "fault", "call", "outcome", "plain"), CELLS, indirect=["plain"])
def test_cell(way: str, fault: f.Fault, call: str, outcome: Outcome, plain: bool) -> None:
    before = 0

    with Lab(fault, to=to(call)) as lab:

        def heal() -> None:
            nonlocal before
            if fault is f.speaks_unasked:
                time.sleep(0.15)  # until the unrequested response was sent
            lab.healed = True
            before = len(lab.carriers)

        patient = (
            Timeouts(first_byte=0.3, read=0.3)
            if outcome.error in (RequestTimeout, ReadinessTimeout)
            else None
        )
        first, second = play(way, lab.url, call, again=heal, retry=QUICK, timeout=patient)

        error = first.error
        assert type(error) is (outcome.error or type(None)), error
        if error is not None:
            assert isinstance(error, InferenceKeyError)
            assert_text(error, outcome.text)
            assert error.status == outcome.status
            assert error.attempts == outcome.attempts
            assert len(error.body or "") <= 8192
            assert KEY not in repr(vars(error))
            if (
                error.status is not None
                and not isinstance(error, TransportError)
                and "req-bad" in repr(vars(error))
            ):
                assert error.request_id == "req-bad"
        if call != "wait_until_ready":
            assert len(lab.hits) == outcome.requests
        assert len({hit.headers.get("idempotency-key") for hit in lab.hits}) == 1

        assert second is not None
        if outcome.poisoned is None and second.error is not None:
            assert type(second.error) is ResponseFormatError
            return
        if outcome.poisoned:
            if call == "generate_text":
                assert second.value.text == "poison"
            else:
                assert type(second.error) is ResponseFormatError
            return
        assert second.error is None
        assert (second.value, [item.text for item in second.items]) == good(call, second)
        # When the connection of a stream returns to the pool depends on when its last bytes arrive.
        if outcome.reused is False or (outcome.reused and call in UNARY):
            assert (lab.carriers[before] in lab.carriers[:before]) is outcome.reused
        if outcome.reused is False:
            for connection in lab.connections[:-1]:
                assert lab.ended(connection)


def assert_text(error: Exception, pattern: str) -> None:
    with pytest.raises(type(error), match=pattern):
        raise error


def good(call: str, played: object) -> tuple[object, list[str]]:
    """Return the result of the healed server, after a check that it is not another response."""
    value = getattr(played, "value", None)
    if call == "generate_text_stream":
        return None, ["Hola", ""]
    assert value == {"delete": True}.get(call, value)
    assert "poison" not in repr(value)
    assert "poison" not in repr(getattr(value, "raw", None))
    return value, []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", ANY)
def test_a_refused_port(call: str, way: str) -> None:
    with refused() as url:
        first, _ = play(way, url, call, retry=QUICK)
    error = first.error
    assert type(error) is TransportError
    assert str(error).startswith("network error: ")
    assert (error.status, error.attempts) == (None, 3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", ANY)
@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("plain", [False, True], ids=["", "plain"], indirect=True)
def test_a_connection_that_is_dropped_after_it_was_accepted(
    plain: bool, how: str, call: str, way: str
) -> None:
    async def drop(connection: Connection) -> None:
        connection.close() if how == "closes" else connection.reset()

    with Lab(on_accept=drop) as lab:

        def heal() -> None:
            lab.healed = True

        first, second = play(way, lab.url, call, again=heal, retry=QUICK)
        error = first.error
        assert type(error) is TransportError
        assert error.attempts == 3
        if plain and call in ("list_workloads", "delete"):
            # aiohttp makes one more for each attempt, unless it notices the end before it writes.
            assert 4 <= len(lab.connections) <= 7
        else:
            assert len(lab.connections) == 4  # three attempts, and the call that went well
        assert second is not None
        assert second.error is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", [*ANY, *WAIT])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_server_is_never_followed(status: int, call: str, way: str) -> None:
    with (
        FaultServer() as other,
        Lab(f.redirects(status, f"{other.url}/stolen"), to=to(call)) as lab,
    ):
        first, _ = play(way, lab.url, call, retry=QUICK)
        assert type(first.error) is ApiError
        assert other.connections == []
        assert len(lab.hits) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", ["generate_text", "generate_text_stream", "list_workloads"])
@pytest.mark.parametrize("fault", ["closes", "resets"])
@pytest.mark.parametrize("plain", [False, True], ids=["", "plain"], indirect=True)
def test_a_dead_pooled_connection_raises_no_error(
    plain: bool, fault: str, call: str, way: str
) -> None:
    """The connection dies while it is idle, and the client notices only after the next request."""
    from faults import Request

    async def once(connection: Connection, request: Request, body: bytes) -> None:
        if connection.served > 1:
            await getattr(f, fault)(connection, request, body)
        else:
            await f.good(connection, request, body)

    with Lab(once) as lab:
        first, second = play(way, lab.url, call, again=lambda: None, retry=None)
        assert first.error is None
        assert second is not None
        assert second.error is None
        assert len(lab.connections) == 2
