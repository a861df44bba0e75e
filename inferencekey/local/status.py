"""What a local platform is doing, read from its data directory alone: it need not run, and is not asked."""

from __future__ import annotations

from pathlib import Path

import attrs

from inferencekey.local.data_dir import is_locked, read_run_file, resolve_data_dir
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
        if not self.running and not self.wanted:
            return self.phase
        return f"{self.phase} {self.running}/{self.wanted}"


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
    directory = resolve_data_dir(data_dir)
    running = is_locked(directory)
    # A platform that was killed leaves its run file behind.
    run_file = read_run_file(directory) if running else None
    workloads: tuple[WorkloadStatus, ...] = ()
    engines: tuple[int, ...] = ()
    path = store_path(directory)
    if path.is_file():
        with Store(path) as store:
            workloads = _workloads(store, running)
            engines = tuple(engine.pid for engine in store.engines() if still_running(engine))
    return PlatformStatus(
        running=running,
        pid=run_file.pid if run_file else None,
        base_url=run_file.base_url if run_file else None,
        started_at=run_file.started_at if run_file else None,
        data_dir=directory,
        workloads=workloads,
        engines=engines,
    )


def _workloads(store: Store, running: bool) -> tuple[WorkloadStatus, ...]:
    stored = store.statuses() if running else {}
    missing = Status(phase="scheduling", message="")
    if not running:
        # The status that a platform stored before it ended is no longer true.
        missing = Status(phase="stopped", message="the platform is not running")
    statuses: list[WorkloadStatus] = []
    for workload in store.workloads():
        status = stored.get(workload.id, missing)
        statuses.append(
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
    return tuple(statuses)
