# Generated from inferencekey/_async/streams.py by inferencekey/_codegen/generate.py.
"""Streams: awaitable, iterable, and a context manager. Classes, not generators, so that every end closes the upstream."""

from __future__ import annotations

from inferencekey._async.streams import AsyncTextStream
from inferencekey._bridge import SyncStream
from inferencekey.models import TextChunk, TextResult

__all__ = ["TextStream"]


class TextStream(SyncStream[TextChunk]):
    """The chunks of one generated text.

    ``for chunk in stream`` reads it, with or without ``with``. It is open when the call returns. Leaving the block, ``close()`` or dropping the stream stops the generation upstream. ``result`` is what has arrived so far, complete
    after the last chunk. Errors are raised while iterating, after everything that arrived before them was delivered.

    Raises:
        StreamInterrupted: the stream ended before it was complete; ``.partial_text`` has what came.
        GenerationFailed: the engine reported an error or gave up.
        RequestTimeout: the server was silent for too long.
        ResponseFormatError: an event is not what the contract says.
    """

    _async: AsyncTextStream

    def __init__(self, stream: AsyncTextStream) -> None:
        super().__init__(stream)
        self._async = stream

    @property
    def result(self) -> TextResult:
        """What has arrived so far, as a result; complete after the last chunk."""
        return self._async.result

    @property
    def request_id(self) -> str | None:
        """The answer's ``x-request-id``, once the stream is open."""
        return self._async.request_id
