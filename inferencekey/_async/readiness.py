"""Following a workload on its way to ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from inferencekey._async.streams import AsyncStream
from inferencekey._core.control.readiness import DROPS, is_final, reconnect_wait
from inferencekey._core.control.wire import readiness_event
from inferencekey._http.responses import ByteStream, EventReader
from inferencekey.errors import ApiError, InferenceKeyError, ResponseFormatError, TransportError
from inferencekey.models import ReadinessEvent

__all__ = ["AsyncReadinessStream"]


class AsyncReadinessStream(AsyncStream[ReadinessEvent]):
    """The readiness events of one workload, ended by the phase ``ready`` or ``error``.

    A drop (an end without either, a network error, 502, 503, 504) is answered by connecting again after 1 s, 2 s, 4 s,
    then 5 s each, as long as the caller cares to wait. Other refusals are raised.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[ByteStream]],
        scrub: Callable[[InferenceKeyError], None],
    ) -> None:
        super().__init__(scrub)
        self._connect = connect
        self._events: EventReader | None = None
        self._drops = 0
        self._trouble: ApiError | None = None

    @property
    def trouble(self) -> ApiError | None:
        """Why there is no connection at the moment; ``None`` while there is one."""
        return self._trouble

    async def _open(self) -> None:
        await self._reconnect()

    async def _reconnect(self) -> None:
        try:
            body = await self._connect()
            if body.content_type in ("text/html", "application/json"):
                body.close()
                raise ResponseFormatError.of(
                    f"{body.content_type} instead of readiness events; is base_url the platform's?",
                    status=200,
                    request_id=body.request_id,
                )
            self._events = EventReader(body, keepalive=None)
            self._trouble = None
        except ApiError as error:
            if not _is_drop(error):
                raise
            self._drops += 1
            self._trouble = error

    async def _fill(self, batch: list[ReadinessEvent]) -> None:
        while not batch:
            if self._events is None:
                await anyio.sleep(reconnect_wait(self._drops))
                await self._reconnect()
                continue
            try:
                events = await self._events.read()
            except ApiError as error:
                if not _is_drop(error):
                    raise
                events = []
                self._trouble = error
            if not events:
                self._events.body.close()
                self._events = None
                self._drops += 1
            for event in events:
                batch.append(readiness_event(event.data))
                self._drops = 0
                if is_final(batch[-1]):
                    self._ended = True
                    self._close_connection()
                    return

    def _annotate(self, error: InferenceKeyError) -> None:
        if self._events is not None:
            self._events.body.tell(error)

    def _close_connection(self) -> None:
        if self._events is not None:
            self._events.body.close()

    def __del__(self) -> None:
        events: EventReader | None = getattr(self, "_events", None)
        if events is not None and not self._ended:
            events.body.close_threadsafe()


def _is_drop(error: ApiError) -> bool:
    if isinstance(error, ResponseFormatError):
        return False
    return error.status in DROPS or (isinstance(error, TransportError) and error.status is None)
