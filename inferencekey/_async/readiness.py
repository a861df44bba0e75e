"""The readiness events of a workload."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from inferencekey._async.streams import AsyncStream
from inferencekey._core.control.readiness import DROPS, is_final, reconnect_wait
from inferencekey._core.control.wire import readiness_event
from inferencekey._core.data.sse import UNFRAMED
from inferencekey._http.responses import EventReader, ResponseStream
from inferencekey.errors import ApiError, InferenceKeyError, ResponseFormatError, TransportError
from inferencekey.models import ReadinessEvent

__all__ = ["AsyncReadinessStream"]


class AsyncReadinessStream(AsyncStream[ReadinessEvent]):
    """The readiness events of one workload. The phase ``ready`` or ``error`` ends them.

    After a drop, the stream connects again: after 1 s, 2 s, 4 s, and then every 5 s, until the
    caller closes it. A drop is a network error, a response of 502, 503 or 504, or an end of the
    response without ``ready`` or ``error``. Any other error response is raised.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[ResponseStream]],
        scrub: Callable[[InferenceKeyError], None],
    ) -> None:
        super().__init__(scrub)
        self._connect = connect
        self._drops = 0
        self._trouble: ApiError | None = None

    @property
    def trouble(self) -> ApiError | None:
        """The error of the last drop, until the stream is connected again; else ``None``."""
        return self._trouble

    async def _open(self) -> None:
        await self._reconnect()

    async def _reconnect(self) -> None:
        try:
            response = await self._connect()
            if response.content_type in ("text/html", "application/json"):
                response.close()
                raise ResponseFormatError.of(
                    f"{response.content_type} instead of readiness events; check that base_url is "
                    "the URL of the platform",
                    status=200,
                    request_id=response.request_id,
                )
            self._events = EventReader(response, keepalive=None)
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
                self._events.response.close()
                self._events = None
                self._drops += 1
            for event in events:
                if event.event == UNFRAMED:
                    continue  # a field of a later version, or junk
                batch.append(readiness_event(event.data))
                self._drops = 0
                if is_final(batch[-1]):
                    self._ended = True
                    self._close_connection()
                    return

    def _close_connection(self) -> None:
        if self._events is not None:
            self._events.response.close()

    def __del__(self) -> None:
        events: EventReader | None = getattr(self, "_events", None)
        if events is not None and not self._ended:
            events.response.close_threadsafe()


def _is_drop(error: ApiError) -> bool:
    if isinstance(error, ResponseFormatError):
        return False
    return error.status in DROPS or (isinstance(error, TransportError) and error.status is None)
