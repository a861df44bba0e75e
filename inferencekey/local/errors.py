"""The errors of the local platform: its directory, its store, models and engines."""

from __future__ import annotations

from inferencekey.errors import InferenceKeyError

__all__ = ["EngineError", "IdempotencyConflict", "ModelFetchError", "PlatformError", "StoreError"]


class EngineError(InferenceKeyError):
    """An engine cannot be started, does not become healthy, or ends again and again."""


class ModelFetchError(EngineError):
    """A model's file cannot be downloaded, checked or stored."""


class PlatformError(InferenceKeyError):
    """The platform cannot run, for example because its data directory or port is in use."""


class StoreError(PlatformError):
    """The store cannot be opened, read or written."""


class IdempotencyConflict(InferenceKeyError):
    """An ``Idempotency-Key`` was used again, and its first response cannot be repeated."""
