"""Streams: each is awaitable, iterable, and a context manager.

They are classes and not async generators, because an async generator that is dropped is closed
later, by the event loop. A stream that is dropped must close its connection at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Iterator
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar

from inferencekey._core.data.chat_stream import ChatStream
from inferencekey._core.data.documents import document_error, is_document
from inferencekey._http.responses import EventReader, ResponseStream, annotate
from inferencekey.errors import (
    InferenceKeyError,
    RequestTimeout,
    TransportError,
)
from inferencekey.models import TextChunk, TextResult

__all__ = ["AsyncStream", "AsyncTextStream"]

T = TypeVar("T")


class AsyncStream(ABC, Generic[T]):
    """The base of every stream.

    ``await``, ``async with`` or the first step of ``async for`` opens it. It is closed by
    ``aclose``, by leaving the block, at its end, by any error, and when it is dropped.
    """

    _items: Iterator[T]
    _failure: BaseException | None
    _opened: bool
    _ended: bool
    _closed: bool

    def __init__(self, scrub: Callable[[InferenceKeyError], None]) -> None:
        self._scrub = scrub
        self._events: EventReader | None = None
        self._items = iter(())
        self._failure = None
        self._opened = False
        self._ended = False
        self._closed = False

    def __await__(self) -> Generator[None, None, Self]:
        return self._open_once().__await__()

    async def __aenter__(self) -> Self:
        return await self._open_once()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._items:
                return item
            batch = await self._next_batch()
            if not batch:
                raise StopAsyncIteration
            self._items = iter(batch)

    async def aclose(self) -> None:
        """Close the connection at once. The iteration ends; what was read stays available."""
        self._ended = self._closed = True
        self._failure = None
        self._items = iter(())
        self._close_connection()

    async def _open_once(self) -> Self:
        if not self._opened:
            self._opened = True
            try:
                await self._open()
            except BaseException as error:
                self._ended = True
                if isinstance(error, InferenceKeyError):
                    self._scrub(error)
                raise
        return self

    async def _next_batch(self) -> list[T]:
        """Return all items of the next read; an empty list at the end.

        A failure is raised only when all items before it were returned.
        """
        if not self._opened:
            await self._open_once()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._ended:
            return []
        batch: list[T] = []
        try:
            await self._fill(batch)
        except Exception as error:
            self._ended = True
            self._close_connection()
            if isinstance(error, InferenceKeyError):
                if self._events is not None:
                    annotate(error, self._events.response)
                self._scrub(error)
            if self._closed:
                # Another task closed the stream during this read: that is an end, not a failure.
                return []
            if not batch:
                raise
            self._failure = error
        except BaseException:
            self._ended = True
            self._close_connection()
            raise
        if not batch and self._failure is None:
            self._ended = True
        return batch

    @abstractmethod
    async def _open(self) -> None:
        """Connect, and raise the error of a refusal."""

    @abstractmethod
    async def _fill(self, batch: list[T]) -> None:
        """Append at least one item to *batch*. None is appended at the end of the stream."""

    @abstractmethod
    def _close_connection(self) -> None:
        """Close the connection if there is one. It may be called any number of times."""


class AsyncTextStream(AsyncStream[TextChunk]):
    """The chunks of one generated text.

    ``async for chunk in stream`` reads it, with or without ``async with``.
    ``await`` opens it without reading.

    Leaving the block, ``aclose()`` and dropping the stream close the connection, which stops the
    generation. ``result`` is the text so far; it is complete after the last chunk. An error is
    raised after all chunks that arrived before it.

    Raises:
        StreamInterrupted: the stream ended before it was complete. ``.partial_text`` has the text
            that arrived.
        GenerationFailed: the engine reported an error.
        RequestTimeout: the server sent nothing for too long.
        ResponseFormatError: an event does not have the form that the contract defines.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[ResponseStream]],
        scrub: Callable[[InferenceKeyError], None],
        *,
        keepalive: float | None,
        strict_end: bool = True,
    ) -> None:
        super().__init__(scrub)
        self._connect: Callable[[], Awaitable[ResponseStream]] | None = connect
        self._keepalive = keepalive
        self._strict_end = strict_end
        self._chat = ChatStream()

    @property
    def result(self) -> TextResult:
        """The result so far. It is complete after the last chunk."""
        return self._chat.result()

    @property
    def request_id(self) -> str | None:
        """The ``x-request-id`` of the response; ``None`` before the stream is open."""
        return self._events.response.request_id if self._events is not None else None

    async def _open(self) -> None:
        connect = self._connect
        assert connect is not None
        # It holds the request's body, which is not needed again.
        self._connect = None
        response = await connect()
        del connect
        if is_document(response.content_type):
            try:
                await _refuse_document(response)
            except InferenceKeyError as error:
                annotate(error, response)
                raise
        self._events = EventReader(response, keepalive=self._keepalive)
        self._chat = ChatStream(request_id=response.request_id, allow_bare_end=not self._strict_end)

    async def _fill(self, batch: list[TextChunk]) -> None:
        reader = self._events
        chat = self._chat
        assert reader is not None
        if chat.done:
            await reader.response.settle()
            self._ended = True
            return
        while not batch:
            try:
                events = await reader.read_plain()
            except TransportError as error:
                # After the finish_reason, only [DONE] or the token counts were missing.
                if chat.complete:
                    self._ended = True
                    return
                if isinstance(error, RequestTimeout):
                    raise _with_text(error, chat) from None
                raise chat.interrupted(error.detail) from None
            if not events:
                chat.end(chat.take_rest(reader.unfinished()))
                self._ended = True
                return
            if chat.take_all(events, batch):
                reader.response.finish()
                if not batch:
                    await reader.response.settle()
                self._ended = not batch or reader.response.at_end
                return

    def _close_connection(self) -> None:
        if self._events is not None and not self._chat.done:
            self._events.response.close()

    def __del__(self) -> None:
        events: EventReader | None = getattr(self, "_events", None)
        if events is not None and not self._ended and not self._chat.done:
            events.response.close_threadsafe()


def _with_text(error: RequestTimeout, chat: ChatStream) -> RequestTimeout:
    text = chat.result().text
    longer = RequestTimeout(f"{error}; {len(text)} characters had arrived, see stream.result")
    longer.__dict__.update(error.__dict__)
    return longer


async def _refuse_document(response: ResponseStream) -> NoReturn:
    """Raise the error for a response that is a document instead of a stream."""
    whole = b""
    error: InferenceKeyError | None = None
    try:
        while error is None:
            part = await response.read()
            whole += part
            error = document_error(response.content_type, whole, ended=not part)
    finally:
        response.close()
    raise error
