"""What goes wrong in the local platform: its folder, its store, a model, an engine."""

from __future__ import annotations

from inferencekey.errors import InferenceKeyError

__all__ = ["EngineError", "IdempotencyConflict", "ModelFetchError", "PlatformError", "StoreError"]


class EngineError(InferenceKeyError):
    """An engine cannot be started, does not become healthy, or keeps dying; the message says why in one line."""


class ModelFetchError(EngineError):
    """A model's file cannot be fetched, checked or stored; the message says what to do in one line."""


class PlatformError(InferenceKeyError):
    """The platform cannot run: its data directory, its port; the message says what to do in one line."""


class StoreError(PlatformError):
    """The store cannot be opened, read or written; the message says what to do in one line."""


class IdempotencyConflict(InferenceKeyError):
    """An ``Idempotency-Key`` came again where its first answer cannot be given again."""
