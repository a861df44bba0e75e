"""What a local platform is doing, read from its data directory alone: it need not run, and is not asked."""

from __future__ import annotations

from pathlib import Path

import attrs

from inferencekey.local.data_dir import is_locked, read_run_file
from inferencekey.local.defaults import default_data_dir
from inferencekey.local.engines.reap import still_running
from inferencekey.local.records import Status
from inferencekey.local.store import Store, store_path

__all__ = ["PlatformStatus", "WorkloadStatus", "platform_status"]


@attrs.frozen(kw_only=True)
class WorkloadStatus:
    """One workload as of the last word about it.

    Args:
        project: the project's slug.
        slug: the workload's slug.
        task_type: as declared.
        backend: as declared.
        model_name: the model that was asked for.
        phase: ``scheduling``, ``provisioning``, ``bootstrapping``, ``ready`` or ``error``; ``stopped`` while no platform runs.
        message: one line for people.
        served_by: the model that really answers; ``None`` while none does.
        running: engines that answer.
        wanted: engines that there are to be: the policy's word, its schedule's or the load's.
        updated_at: RFC 3339, UTC.
    """

    project: str
    slug: str
    task_type: str
    backend: str
    model_name: str
    phase: str
    message: str
    served_by: str | None
    running: int
    wanted: int
    updated_at: str

    @property
    def line(self) -> str:
        """The phase, with the engines that answer of those that there are to be: ``ready 2/2``."""
        return (
            f"{self.phase} {self.running}/{self.wanted}"
            if self.running or self.wanted
            else self.phase
        )


@attrs.frozen(kw_only=True)
class PlatformStatus:
    """A data directory's platform.

    Args:
        running: whether a platform holds the directory now.
        pid: its process; ``None`` while none runs.
        base_url: where it answers; ``None`` while none runs.
        started_at: RFC 3339, UTC; ``None`` while none runs.
        data_dir: the directory.
        workloads: all of them, oldest first.
        engines: the pids of the engines that run, those that a killed platform left behind included.
    """

    running: bool
    pid: int | None
    base_url: str | None
    started_at: str | None
    data_dir: Path
    workloads: tuple[WorkloadStatus, ...]
    engines: tuple[int, ...]


def platform_status(data_dir: Path | str | None = None) -> PlatformStatus:
    """Return the status of the platform of *data_dir* (default: this user's).

    Raises:
        StoreError: the store is there and cannot be read.
    """
    where = Path(data_dir).expanduser().absolute() if data_dir is not None else default_data_dir()
    running = is_locked(where)
    run = read_run_file(where) if running else None
    workloads: tuple[WorkloadStatus, ...] = ()
    engines: tuple[int, ...] = ()
    path = store_path(where)
    if path.is_file():
        with Store(path) as store:
            workloads = _workloads(store, running)
            engines = tuple(engine.pid for engine in store.engines() if still_running(engine))
    return PlatformStatus(
        running=running,
        pid=run.pid if run else None,
        base_url=run.base_url if run else None,
        started_at=run.started_at if run else None,
        data_dir=where,
        workloads=workloads,
        engines=engines,
    )


def _workloads(store: Store, running: bool) -> tuple[WorkloadStatus, ...]:
    known = store.statuses()
    stopped = Status(phase="stopped", message="the platform is not running")
    unheard = Status(phase="scheduling", message="")
    found: list[WorkloadStatus] = []
    for workload in store.workloads():
        # What a platform that is gone said last is no longer true.
        status = known.get(workload.id, unheard) if running else stopped
        found.append(
            WorkloadStatus(
                project=workload.project,
                slug=workload.slug,
                task_type=workload.task_type,
                backend=workload.backend,
                model_name=workload.model_name,
                phase=status.phase,
                message=status.message,
                served_by=status.served_by,
                running=status.running,
                wanted=status.wanted,
                updated_at=status.updated_at or workload.updated_at,
            )
        )
    return tuple(found)
