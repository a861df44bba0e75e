# Generated from inferencekey/_async/readiness.py by inferencekey/_codegen/generate.py.
"""The sync classes of ``inferencekey/_async/readiness.py``."""

from __future__ import annotations

from inferencekey._async.readiness import AsyncReadinessStream
from inferencekey._bridge import SyncStream
from inferencekey.errors import ApiError
from inferencekey.models import ReadinessEvent

__all__ = ["ReadinessStream"]


class ReadinessStream(SyncStream[ReadinessEvent]):
    """The readiness events of one workload. The phase ``ready`` or ``error`` ends them.

    After a drop, the stream connects again: after 1 s, 2 s, 4 s, and then every 5 s, until the
    caller closes it. A drop is a network error, a response of 502, 503 or 504, or an end of the
    response without ``ready`` or ``error``. Any other error response is raised.
    """

    _async: AsyncReadinessStream

    def __init__(self, stream: AsyncReadinessStream) -> None:
        super().__init__(stream)
        self._async = stream

    @property
    def trouble(self) -> ApiError | None:
        """The error of the last drop, until the stream is connected again; else ``None``."""
        return self._async.trouble
