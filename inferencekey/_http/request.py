"""What is sent: one request, as one value, from the client's method down to the socket."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from inferencekey._http.credential import Credential
    from inferencekey.models import Timeouts

__all__ = ["SMALL_BODY", "BodySource", "ReplayableSource", "Request", "Upload"]

SMALL_BODY: Final = 64 * 1024
"""Bytes of a body that is written in one call. A longer one is left to aiohttp's session: it waits
until the socket takes more, and it can stop when the response overtakes the request."""


@runtime_checkable
class ReplayableSource(Protocol):
    """A body that is produced piece by piece, and can be produced again for a retry."""

    @property
    def size(self) -> int | None:
        """The number of bytes; ``None`` where it is not known, and the body is sent in chunks."""
        ...

    def open(self) -> AsyncIterator[bytes]:
        """Return the pieces, from the first one on. Called once for each attempt."""
        ...


BodySource = ReplayableSource | AsyncIterable[bytes]
"""A body that is no bytes. One that is not replayable is sent once, whatever becomes of it."""


class Request:
    """One request. Built by a client's method, and passed whole through the transport.

    Args:
        method: the HTTP method.
        path: the path below the base URL, already quoted.
        credential: the bearer token.
        timeouts: the deadlines of the call.
        query: the query, already quoted, without its question mark.
        headers: headers of this request; they replace the client's of the same name.
        content_type: the media type of the body.
        body: the bytes, or where they come from.
        idempotency_key: the ``Idempotency-Key`` of the call, the same for every attempt.
        streamed: the response is read as it comes, so it must not be compressed: what compresses
            (a proxy, for example) would hold the first bytes until it has enough of them.
        non_idempotent: the server must not carry the request out twice; see ``_core.retry``.
    """

    __slots__ = (
        "body",
        "content_type",
        "credential",
        "headers",
        "idempotency_key",
        "method",
        "non_idempotent",
        "path",
        "query",
        "streamed",
        "target",
        "timeouts",
    )

    def __init__(
        self,
        method: str,
        path: str,
        credential: Credential,
        timeouts: Timeouts,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        body: bytes | BodySource | None = None,
        idempotency_key: str | None = None,
        streamed: bool = False,
        non_idempotent: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.target = f"{path}?{query}" if query else path
        """The path and the query, as they are sent and logged."""
        self.credential = credential
        self.timeouts = timeouts
        self.headers = headers
        self.content_type = content_type
        self.body = body
        self.idempotency_key = idempotency_key
        self.streamed = streamed
        self.non_idempotent = non_idempotent

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.target!r})"


class Upload:
    """The pieces of a body, on one attempt to send it.

    aiohttp hides what a source raises behind an error of its own. The source's error is kept here,
    so that the caller gets to see it.

    Args:
        source: where the pieces come from.
    """

    def __init__(self, source: BodySource) -> None:
        self._source = source
        self.replayable = isinstance(source, ReplayableSource)
        self.size = source.size if isinstance(source, ReplayableSource) else None
        self.begun = False
        """Whether the source was opened: what is not replayable cannot be sent again then."""
        self.failure: Exception | None = None
        """What the source raised."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun = True
        source = self._source
        sent = 0
        try:
            pieces = source.open() if isinstance(source, ReplayableSource) else source
            async for piece in pieces:
                sent += len(piece)
                yield piece
            # The server waits for what was announced: fewer bytes would leave the call hanging
            # until a deadline, and more would be read as the next request (RFC 9112, 6.3).
            if self.size is not None and sent != self.size:
                raise ValueError(f"the body has {sent} bytes, but its size is {self.size}")
        except Exception as error:
            self.failure = error
            # Not the error itself: on its way through aiohttp its traceback would collect frames
            # that hold the credential.
            raise _SourceFailed from None


class _SourceFailed(Exception):
    """Ends a request whose source raised."""
