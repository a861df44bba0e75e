"""A request, as one value that is passed from the client's method to the socket."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from inferencekey._http.credential import Credential
    from inferencekey.models import Timeouts

__all__ = ["SMALL_BODY", "BodySource", "ReplayableSource", "Request", "Upload"]

SMALL_BODY: Final = 64 * 1024
"""The longest body, in bytes, that is written to the socket in one call.

A longer body is written by aiohttp's session. It waits while the socket is full, and it stops when
the response arrives before the request was sent to its end."""


@runtime_checkable
class ReplayableSource(Protocol):
    """A body that is read in pieces, and that can be read again for a retry."""

    @property
    def size(self) -> int | None:
        """The number of bytes; ``None`` if it is unknown. Then the body is sent in chunks."""
        ...

    def open(self) -> AsyncIterator[bytes]:
        """Return an iterator that begins with the first piece. Called for each attempt."""
        ...


BodySource = ReplayableSource | AsyncIterable[bytes]
"""A body that is read in pieces. If it is not replayable, it is sent only once."""


class Request:
    """One request. A method of a client builds it, and the transport passes it on unchanged.

    Args:
        method: the HTTP method.
        path: the path below the base URL, already quoted.
        credential: the bearer token.
        timeouts: the deadlines of the call.
        query: the query, already quoted, without the question mark.
        headers: headers of this request; they replace the client's of the same name.
        content_type: the media type of the body.
        body: the bytes, or the source that they are read from.
        idempotency_key: the ``Idempotency-Key`` of the call, the same for every attempt.
        streamed: the response is read as it comes, so it must not be compressed: what compresses
            (a proxy, for example) would hold the first bytes until it has enough of them.
        non_idempotent: the server must not process the request twice; see ``_core.retry``.
    """

    __slots__ = (
        "body",
        "content_type",
        "credential",
        "headers",
        "idempotency_key",
        "is_small",
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
        self.is_small = isinstance(body, bytes) and len(body) <= SMALL_BODY and headers is None
        """Whether the fast path can send it: one write, without an aiohttp session."""
        self.idempotency_key = idempotency_key
        self.streamed = streamed
        self.non_idempotent = non_idempotent

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.target!r})"


class Upload:
    """The pieces of a body that is read from a source; every attempt iterates over it anew.

    aiohttp replaces an error of the source by an error of its own. The original is kept here, so
    that the caller gets it.

    Args:
        source: what the pieces are read from.
    """

    def __init__(self, source: BodySource) -> None:
        self._source = source
        self.replayable = isinstance(source, ReplayableSource)
        self.size = source.size if isinstance(source, ReplayableSource) else None
        self.begun = False
        """Whether the source was opened."""
        self.failure: Exception | None = None
        """The error that the source raised."""

    @classmethod
    def of(cls, body: bytes | BodySource | None) -> Upload | None:
        """Return the upload of a body; ``None`` if there is no body, or if it is bytes."""
        return None if body is None or isinstance(body, bytes) else cls(body)

    @property
    def is_spent(self) -> bool:
        """Whether the source was opened, and cannot be opened again."""
        return self.begun and not self.replayable

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun = True
        source = self._source
        sent = 0
        try:
            pieces = source.open() if isinstance(source, ReplayableSource) else source
            async for piece in pieces:
                sent += len(piece)
                yield piece
            # The server reads as many bytes as were announced. With fewer bytes it would wait, and
            # more would be read as the next request (RFC 9112, section 6.3).
            if self.size is not None and sent != self.size:
                raise ValueError(f"the body has {sent} bytes, but its size is {self.size}")
        except Exception as error:
            self.failure = error
            # The error itself is not raised: aiohttp's frames would be added to its traceback, and
            # their local variables contain the credential.
            raise _SourceFailed from None


class _SourceFailed(Exception):
    """Ends a request whose source raised an error."""
