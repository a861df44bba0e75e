# Generated from inferencekey/_async/readiness.py by inferencekey/_codegen/generate.py.
"""Following a workload on its way to ready."""

from __future__ import annotations

from inferencekey._async.readiness import AsyncReadinessStream
from inferencekey._bridge import SyncStream
from inferencekey.errors import ApiError
from inferencekey.models import ReadinessEvent

__all__ = ["ReadinessStream"]


class ReadinessStream(SyncStream[ReadinessEvent]):
    """The readiness events of one workload, ended by the phase ``ready`` or ``error``.

    A drop (an end without either, a network error, 502, 503, 504) is answered by connecting again after 1 s, 2 s, 4 s,
    then 5 s each, as long as the caller cares to wait. Other refusals are raised.
    """

    _async: AsyncReadinessStream

    def __init__(self, stream: AsyncReadinessStream) -> None:
        super().__init__(stream)
        self._async = stream

    @property
    def trouble(self) -> ApiError | None:
        """Why there is no connection at the moment; ``None`` while there is one."""
        return self._async.trouble
