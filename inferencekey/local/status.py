"""The status of a local platform, read from its data directory, whether it runs or not."""

from __future__ import annotations

from pathlib import Path

import attrs

from inferencekey.local.data_dir import is_locked, read_run_file, resolve_data_dir
from inferencekey.local.engines.reap import still_running
from inferencekey.local.records import StoredStatus
from inferencekey.local.store import Store, store_path

__all__ = ["PlatformStatus", "WorkloadStatus", "platform_status"]


@attrs.frozen(kw_only=True)
class WorkloadStatus:
    """The last known status of one workload.

    Args:
        project: the project's slug.
        slug: the workload's slug.
        task_type: the task type of the workload.
        backend: the backend of the workload.
        model_name: the model that the workload names.
        phase: ``scheduling``, ``provisioning``, ``bootstrapping``, ``ready`` or ``error``;
            ``stopped`` if no platform is running.
        message: one line for people.
        served_by: the model that answers, which may be a stand-in; ``None`` if there is none.
        running: how many engines answer.
        wanted: how many engines there should be, by the workload's policy, schedule and load.
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
        """The phase with the numbers of running and wanted engines, such as ``ready 2/2``."""
        if not self.running and not self.wanted:
            return self.phase
        return f"{self.phase} {self.running}/{self.wanted}"


@attrs.frozen(kw_only=True)
class PlatformStatus:
    """The status of the platform of one data directory.

    Args:
        running: whether a platform is running.
        pid: its process id; ``None`` if it is not running.
        base_url: its URL; ``None`` if it is not running.
        started_at: RFC 3339, UTC; ``None`` if it is not running.
        data_dir: the data directory.
        workloads: all its workloads, oldest first.
        engines: the process ids of the running engines, including engines that a killed platform
            left behind.
    """

    running: bool
    pid: int | None
    base_url: str | None
    started_at: str | None
    data_dir: Path
    workloads: tuple[WorkloadStatus, ...]
    engines: tuple[int, ...]


def platform_status(data_dir: Path | str | None = None) -> PlatformStatus:
    """Return the status of a platform.

    Args:
        data_dir: its data directory; default: this user's.

    Raises:
        StoreError: the store exists and cannot be read.
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
    missing = StoredStatus(phase="scheduling", message="")
    if not running:
        # The status that a platform stored before it ended is no longer true.
        missing = StoredStatus(phase="stopped", message="the platform is not running")
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
