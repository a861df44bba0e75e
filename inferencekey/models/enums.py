"""The closed sets of the contract, as enums whose values are the strings on the wire."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from inferencekey.errors import ValidationError
from inferencekey.models.nearest import did_you_mean

__all__ = ["Backend", "ExecutionPolicy", "OnDrift", "Phase", "TaskType", "known_or_text", "member"]


class Backend(StrEnum):
    """The engine that serves a workload. Any other slug names a custom backend."""

    OLLAMA = "ollama"
    VLLM = "vllm"
    VLLM_OMNI = "vllm-omni"
    SGLANG = "sglang"
    LLAMACPP = "llamacpp"
    STABLE_DIFFUSION_CPP = "stablediffusioncpp"


class TaskType(StrEnum):
    """What a workload does."""

    TEXT2TEXT = "text2text"
    EMBEDDING = "embedding"
    TEXT2IMAGE = "text2image"
    TEXT2VIDEO = "text2video"
    TEXT2AUDIO = "text2audio"
    IMAGE2IMAGE = "image2image"
    IMAGE2VIDEO = "image2video"
    AUDIO2TEXT = "audio2text"
    OMNI = "omni"
    RERANKER = "reranker"
    CLASSIFICATION = "classification"
    REWARD = "reward"
    FORECAST = "forecast"


class OnDrift(StrEnum):
    """What ``ensure`` does when a live workload differs from its spec."""

    RECONCILE = "reconcile"
    FAIL = "fail"
    DRY_RUN = "dry_run"
    WARN = "warn"
    IGNORE = "ignore"


class ExecutionPolicy(StrEnum):
    """How many replicas run, and when."""

    FIXED = "fixed"
    SCHEDULED = "scheduled"
    AUTOSCALING = "autoscaling"


class Phase(StrEnum):
    """The phase of a workload before it is ready."""

    SCHEDULING = "scheduling"
    PROVISIONING = "provisioning"
    BOOTSTRAPPING = "bootstrapping"
    READY = "ready"
    ERROR = "error"


E = TypeVar("E", bound=StrEnum)


def member(kind: type[E], value: object, argument: str) -> E:
    """Return the member of *kind* for a member or its wire string.

    Raises:
        ValidationError: *value* is neither. The message lists the allowed strings and names the
            most similar one.
    """
    try:
        return kind(str(value))
    except ValueError:
        allowed = ", ".join(str(m) for m in kind)
        meant = did_you_mean(value, kind) if isinstance(value, str) else ""
        raise ValidationError.of(
            f"{argument} must be one of {allowed}; got {value!r}{meant}"
        ) from None


def known_or_text(kind: type[E], value: str) -> E | str:
    """Return the member for *value*, or *value* itself, which a newer server may know."""
    try:
        return kind(value)
    except ValueError:
        return value
