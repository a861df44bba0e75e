"""What the platform stores, as values. No SQLite here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from inferencekey.config import TokenKind

__all__ = ["EngineRecord", "MintedToken", "Status", "StoredWorkload", "Token"]


_PROJECTS: Final = uuid.UUID("0b4f5ff6-52f1-4a7c-9a53-0f6f0f1c9d11")


@attrs.frozen(kw_only=True)
class StoredWorkload:
    """A workload as stored. ``project`` is the project's slug; times are UTC."""

    id: str
    project: str
    slug: str
    name: str
    task_type: str
    backend: str
    model_name: str
    description: str | None = None
    config: Mapping[str, Any] | None = None
    worker_id: str | None = None
    gpu_resource_id: str | None = None
    execution_policy: str | None = None
    execution_policy_config: Mapping[str, Any] | None = None
    created_at: str
    updated_at: str

    def to_wire(self) -> dict[str, Any]:
        """Return the workload as the control plane sends it."""
        wire = attrs.asdict(self, recurse=False)
        del wire["project"]
        # A project is nothing but its slug here; its id is derived, so that it is the same in every answer.
        wire["project_id"] = str(uuid.uuid5(_PROJECTS, self.project))
        wire["project_slug"] = self.project
        wire["workload_slug"] = self.slug
        return wire


@attrs.frozen(kw_only=True)
class Status:
    """Where a workload is.

    Args:
        phase: the contract's word.
        message: one line for people.
        step: a finer position within the phase.
        served_by: the model that really answers, once there is one.
        running: engines that answer.
        wanted: engines that there are to be.
        updated_at: RFC 3339, UTC.
    """

    phase: str
    message: str
    step: str | None = None
    served_by: str | None = None
    running: int = 0
    wanted: int = 0
    updated_at: str = ""


@attrs.frozen(kw_only=True)
class Token:
    """A token as the store knows it: everything but the secret.

    Args:
        id: the 8 hex characters in the middle, as redacted tokens show them.
        kind: ``"sdk"`` for the control plane, ``"live"`` for the data plane.
        project: the one project of an ``sdk`` token; ``None`` for ``live``.
        scopes: of an ``sdk`` token.
        grants: of a ``live`` token: ``project/workload`` or ``project/*``.
        created_at: UTC.
        revoked_at: UTC; ``None`` while it is valid.
    """

    id: str
    kind: TokenKind
    project: str | None = None
    scopes: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    created_at: datetime
    revoked_at: datetime | None = None


@attrs.frozen
class MintedToken:
    """A fresh token: the only moment its text exists.

    Args:
        text: the token itself; show it once.
        id: what it is called from now on.
    """

    text: str = attrs.field(repr=False)
    id: str


@attrs.frozen
class EngineRecord:
    """Enough to recognise an engine's process later.

    Attributes:
        pid: its process id, which is also its process group's.
        create_time: when it began, in seconds since the epoch, as psutil says it.
    """

    pid: int
    create_time: float
