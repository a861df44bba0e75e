"""Frozen values and enums: specs, plans, results, events, settings. No I/O, no JSON."""

from inferencekey.models.engine_log import EngineLog
from inferencekey.models.enums import (
    Backend,
    ExecutionPolicy,
    OnDrift,
    Phase,
    TaskType,
    known_or_text,
    member,
)
from inferencekey.models.plan import FieldDiff, Plan
from inferencekey.models.plan_text import PlanLine
from inferencekey.models.readiness import ReadinessEvent
from inferencekey.models.results import (
    EmbeddingResult,
    RerankItem,
    RerankResult,
    TextChoice,
    TextChunk,
    TextResult,
    Usage,
)
from inferencekey.models.settings import RetryPolicy, Timeouts
from inferencekey.models.spec import WorkloadSpec
from inferencekey.models.workload import EndpointRef, Workload

__all__ = [
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
    "known_or_text",
    "member",
]
