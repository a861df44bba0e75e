"""Provision and call your own AI workloads.

``ManagementClient`` declares what should exist (``ensure``), ``DataClient`` calls it; the same with ``Async`` in front is
awaited. ``inferencekey.local`` is the platform on a laptop.

Every name is loaded on first use, so that ``import inferencekey`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferencekey._async.data import AsyncDataClient, AsyncEndpoint
    from inferencekey._async.management import AsyncManagementClient
    from inferencekey._async.readiness import AsyncReadinessStream
    from inferencekey._async.streams import AsyncTextStream
    from inferencekey._sync.data import DataClient, Endpoint
    from inferencekey._sync.management import ManagementClient
    from inferencekey._sync.readiness import ReadinessStream
    from inferencekey._sync.streams import TextStream
    from inferencekey.errors import (
        ApiError,
        AuthError,
        ConfigurationError,
        DriftError,
        GenerationFailed,
        InferenceKeyError,
        InsecureTransportWarning,
        NotFoundError,
        PermissionDenied,
        RateLimitError,
        ReadinessError,
        ReadinessTimeout,
        RequestTimeout,
        ResponseFormatError,
        ServerError,
        StreamInterrupted,
        TransportError,
        ValidationError,
        WorkloadDriftWarning,
        WorkloadLeftoverWarning,
    )
    from inferencekey.models import (
        Backend,
        EmbeddingResult,
        EndpointRef,
        ExecutionPolicy,
        FieldDiff,
        OnDrift,
        Phase,
        Plan,
        ReadinessEvent,
        RerankItem,
        RerankResult,
        RetryPolicy,
        TaskType,
        TextChunk,
        TextResult,
        Timeouts,
        Usage,
        Workload,
        WorkloadSpec,
    )

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "AsyncDataClient",
    "AsyncEndpoint",
    "AsyncManagementClient",
    "AsyncReadinessStream",
    "AsyncTextStream",
    "AuthError",
    "Backend",
    "ConfigurationError",
    "DataClient",
    "DriftError",
    "EmbeddingResult",
    "Endpoint",
    "EndpointRef",
    "ExecutionPolicy",
    "FieldDiff",
    "GenerationFailed",
    "InferenceKeyError",
    "InsecureTransportWarning",
    "ManagementClient",
    "NotFoundError",
    "OnDrift",
    "PermissionDenied",
    "Phase",
    "Plan",
    "RateLimitError",
    "ReadinessError",
    "ReadinessEvent",
    "ReadinessStream",
    "ReadinessTimeout",
    "RequestTimeout",
    "RerankItem",
    "RerankResult",
    "ResponseFormatError",
    "RetryPolicy",
    "ServerError",
    "StreamInterrupted",
    "TaskType",
    "TextChunk",
    "TextResult",
    "TextStream",
    "Timeouts",
    "TransportError",
    "Usage",
    "ValidationError",
    "Workload",
    "WorkloadDriftWarning",
    "WorkloadLeftoverWarning",
    "WorkloadSpec",
    "__version__",
]

_ROOMS = {
    "_async.data": ("AsyncDataClient", "AsyncEndpoint"),
    "_async.management": ("AsyncManagementClient",),
    "_async.readiness": ("AsyncReadinessStream",),
    "_async.streams": ("AsyncTextStream",),
    "_sync.data": ("DataClient", "Endpoint"),
    "_sync.management": ("ManagementClient",),
    "_sync.readiness": ("ReadinessStream",),
    "_sync.streams": ("TextStream",),
    "models": (
        "Backend", "EmbeddingResult", "EndpointRef", "ExecutionPolicy", "FieldDiff", "OnDrift", "Phase", "Plan",
        "ReadinessEvent", "RerankItem", "RerankResult", "RetryPolicy", "TaskType", "TextChunk", "TextResult", "Timeouts",
        "Usage", "Workload", "WorkloadSpec",
    ),
}  # fmt: skip
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Whatever is not in the table is an error.
    value = getattr(import_module(f"{__name__}.{_ROOM_OF.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
