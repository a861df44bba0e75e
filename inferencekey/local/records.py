"""What the platform stores, as values. This module does not import SQLite."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from inferencekey.credentials import TokenKind

__all__ = ["EngineRecord", "MintedToken", "StoredStatus", "StoredWorkload", "Token"]


_PROJECT_IDS: Final = uuid.UUID("0b4f5ff6-52f1-4a7c-9a53-0f6f0f1c9d11")


@attrs.frozen(kw_only=True)
class StoredWorkload:
    """A workload as it is stored.

    The fields that are not listed here are those of
    :data:`inferencekey.models.workload_fields.CREATE_FIELDS`.

    Args:
        id: its id, a UUID.
        project: the slug of its project.
        created_at: RFC 3339, UTC.
        updated_at: RFC 3339, UTC.
    """

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
        # The local platform does not store projects. It derives the id of a project from its slug,
        # so that the id is the same in every response.
        wire["project_id"] = str(uuid.uuid5(_PROJECT_IDS, self.project))
        wire["project_slug"] = self.project
        wire["workload_slug"] = self.slug
        return wire


@attrs.frozen(kw_only=True)
class StoredStatus:
    """The stored status of a workload.

    Args:
        phase: one of the phases of the platform's contract.
        message: one line for people.
        step: the step within the phase.
        served_by: the model that answers, which may be a stand-in; ``None`` while there is none.
        running: how many engines answer.
        wanted: how many engines there should be.
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
    """A token as it is stored, without its secret.

    Args:
        id: the 8 hexadecimal digits in its middle, which a redacted token shows.
        kind: ``"sdk"`` for the control plane, ``"live"`` for the data plane.
        project: the project of an ``sdk`` token; ``None`` for a ``live`` token.
        scopes: the scopes of an ``sdk`` token.
        grants: the grants of a ``live`` token: ``project/workload`` or ``project/*``.
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
    """A new token with its text, which is not stored.

    Args:
        text: the token; show it to its owner now, because it cannot be read again.
        id: its id.
    """

    text: str = attrs.field(repr=False)
    id: str


@attrs.frozen
class EngineRecord:
    """What identifies an engine's process later.

    The process id alone is not enough: the operating system gives it to another process later.

    Attributes:
        pid: its process id, which is also the id of its process group.
        create_time: when it was started, in seconds since the epoch, as psutil reports it.
    """

    pid: int
    create_time: float
