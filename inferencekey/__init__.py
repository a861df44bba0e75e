"""Provision and call your own AI workloads.

``ManagementClient.ensure`` makes the platform match your description of a workload, and
``DataClient`` calls the workload. The classes with ``Async`` in their names have the same methods,
to be awaited. ``inferencekey.local`` is the platform on your own computer.

Every name is loaded when it is first used, so ``import inferencekey`` itself is cheap.
"""

from __future__ import annotations

from importlib import import_module

# Type checkers take this name for `typing.TYPE_CHECKING`. Importing typing would cost more than
# everything else in this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from inferencekey._async.data import AsyncDataClient
    from inferencekey._async.endpoint import AsyncEndpoint
    from inferencekey._async.endpoint.options import CallOptions, TextOptions
    from inferencekey._async.management import AsyncManagementClient
    from inferencekey._async.readiness import AsyncReadinessStream
    from inferencekey._async.streams import AsyncTextStream
    from inferencekey._sync.data import DataClient
    from inferencekey._sync.endpoint import Endpoint
    from inferencekey._sync.management import ManagementClient
    from inferencekey._sync.readiness import ReadinessStream
    from inferencekey._sync.streams import TextStream
    from inferencekey.errors import (
        ApiError,
        ApplyAllError,
        AuthError,
        ConfigurationError,
        DeploymentError,
        DriftError,
        EnsureAllError,
        GenerationFailed,
        InferenceKeyError,
        InsecureTransportWarning,
        ManyWorkloadsError,
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
        WaitAllError,
        WorkloadDriftWarning,
        WorkloadLeftoverWarning,
        WorkloadSpecWarning,
    )
    from inferencekey.models import (
        Backend,
        EmbeddingResult,
        EndpointRef,
        EngineLog,
        ExecutionPolicy,
        FieldDiff,
        OnDrift,
        Phase,
        Plan,
        PlanLine,
        ReadinessEvent,
        RerankItem,
        RerankResult,
        RetryPolicy,
        TaskType,
        TextChoice,
        TextChunk,
        TextResult,
        Timeouts,
        Usage,
        Workload,
        WorkloadSpec,
    )

__version__ = "1.0.0"

__all__ = [
    "ApiError",
    "ApplyAllError",
    "AsyncDataClient",
    "AsyncEndpoint",
    "AsyncManagementClient",
    "AsyncReadinessStream",
    "AsyncTextStream",
    "AuthError",
    "Backend",
    "CallOptions",
    "ConfigurationError",
    "DataClient",
    "DeploymentError",
    "DriftError",
    "EmbeddingResult",
    "Endpoint",
    "EndpointRef",
    "EngineLog",
    "EnsureAllError",
    "ExecutionPolicy",
    "FieldDiff",
    "GenerationFailed",
    "InferenceKeyError",
    "InsecureTransportWarning",
    "ManagementClient",
    "ManyWorkloadsError",
    "NotFoundError",
    "OnDrift",
    "PermissionDenied",
    "Phase",
    "Plan",
    "PlanLine",
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
    "TextChoice",
    "TextChunk",
    "TextOptions",
    "TextResult",
    "TextStream",
    "Timeouts",
    "TransportError",
    "Usage",
    "ValidationError",
    "WaitAllError",
    "Workload",
    "WorkloadDriftWarning",
    "WorkloadLeftoverWarning",
    "WorkloadSpec",
    "WorkloadSpecWarning",
    "__version__",
]

_ROOMS = {
    "_async.data": ("AsyncDataClient",),
    "_async.endpoint": ("AsyncEndpoint",),
    "_async.endpoint.options": ("CallOptions", "TextOptions"),
    "_async.management": ("AsyncManagementClient",),
    "_async.readiness": ("AsyncReadinessStream",),
    "_async.streams": ("AsyncTextStream",),
    "_sync.data": ("DataClient",),
    "_sync.endpoint": ("Endpoint",),
    "_sync.management": ("ManagementClient",),
    "_sync.readiness": ("ReadinessStream",),
    "_sync.streams": ("TextStream",),
    "models": (
        "Backend",
        "EmbeddingResult",
        "EndpointRef",
        "EngineLog",
        "ExecutionPolicy",
        "FieldDiff",
        "OnDrift",
        "Phase",
        "Plan",
        "PlanLine",
        "ReadinessEvent",
        "RerankItem",
        "RerankResult",
        "RetryPolicy",
        "TaskType",
        "TextChoice",
        "TextChunk",
        "TextResult",
        "Timeouts",
        "Usage",
        "Workload",
        "WorkloadSpec",
    ),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Every name that is not in the table is one of the errors.
    value = getattr(import_module(f"{__name__}.{_ROOM_OF.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
