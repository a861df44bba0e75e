# Generated from inferencekey/_async/streams.py by inferencekey/_codegen/generate.py.
"""The sync classes of ``inferencekey/_async/streams.py``."""

from __future__ import annotations

from inferencekey._async.streams import AsyncTextStream
from inferencekey._bridge import SyncStream
from inferencekey.models import TextChunk, TextResult

__all__ = ["TextStream"]


class TextStream(SyncStream[TextChunk]):
    """The chunks of one generated text.

    ``for chunk in stream`` reads it, with or without ``with``.
    It is open when the call returns.

    Leaving the block, ``close()`` and dropping the stream close the connection, which stops the
    generation. ``result`` is the text so far; it is complete after the last chunk. An error is
    raised after all chunks that arrived before it.

    Raises:
        StreamInterrupted: the stream ended before it was complete. ``.partial_text`` has the text
            that arrived.
        GenerationFailed: the engine reported an error.
        RequestTimeout: the server sent nothing for too long.
        ResponseFormatError: an event does not have the form that the contract defines.
    """

    _async: AsyncTextStream

    def __init__(self, stream: AsyncTextStream) -> None:
        super().__init__(stream)
        self._async = stream

    @property
    def result(self) -> TextResult:
        """The result so far. It is complete after the last chunk."""
        return self._async.result

    @property
    def request_id(self) -> str | None:
        """The ``x-request-id`` of the response; ``None`` before the stream is open."""
        return self._async.request_id
