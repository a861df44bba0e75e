"""What a manifest would do to what is live: a plan for each of its workloads, and what it no longer declares.

The rule of removal: only a workload that an apply of this manifest created, which its lock file records by id, on this
platform, in a project that the manifest still speaks of, and that has this id still. Everything else is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import anyio
import attrs

from inferencekey import AsyncManagementClient
from inferencekey._core.control.plans import make_plan, plan_warnings
from inferencekey._core.control.specs import resolve_project
from inferencekey._core.slugs import canonical_slug
from inferencekey.cli.failures import CommandError
from inferencekey.cli.output import warning
from inferencekey.errors import ConfigurationError, InferenceKeyError
from inferencekey.manifest import SUFFIXES, Lock, LockEntry, Manifest, find_manifest, load_manifest
from inferencekey.models import Plan, Workload

__all__ = [
    "Kept",
    "Removal",
    "Survey",
    "live_workloads",
    "load",
    "name_of",
    "survey",
    "survey_for_destroy",
]


@attrs.frozen
class Removal:
    """A live workload to be deleted, by its id.

    Args:
        project: where.
        slug: which.
        id: the live workload's, and the recorded one.
    """

    project: str
    slug: str
    id: str

    @property
    def name(self) -> str:
        """``project/slug``."""
        return f"{self.project}/{self.slug}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return attrs.asdict(self)


@attrs.frozen
class Kept:
    """A workload that is left alone although one might expect its removal.

    Args:
        project: where.
        slug: which.
        why: one line for people.
    """

    project: str
    slug: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return attrs.asdict(self)


@attrs.frozen(kw_only=True)
class Survey:
    """Everything that an apply would do.

    Args:
        base_url: the platform it was made for.
        manifest: what it was made from.
        lock: the lock file's path.
        plans: one for each workload of the manifest, in its order.
        removals: what the manifest's earlier applies created and it no longer declares.
        prune: whether the removals are to be done.
        kept: recorded workloads that are left alone.
        stale: what the lock file records and is no longer there, or is another by now.
        drifted: what is left as it is under ``--on-drift``; each stands among the plans as one of nothing.
    """

    base_url: str
    manifest: Path
    lock: Path
    plans: tuple[Plan, ...]
    removals: tuple[Removal, ...] = ()
    prune: bool = False
    kept: tuple[Kept, ...] = ()
    stale: tuple[LockEntry, ...] = ()
    drifted: tuple[Plan, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether an apply would change anything."""
        return any(plan.action != "none" for plan in self.plans) or (
            self.prune and bool(self.removals)
        )

    def count(self, action: str) -> int:
        """Return how many plans have this action."""
        return sum(plan.action == action for plan in self.plans)


@attrs.frozen
class _Records:
    removals: tuple[Removal, ...]
    kept: tuple[Kept, ...]
    stale: tuple[LockEntry, ...]


def name_of(plan: Plan) -> str:
    """Return ``project/slug``."""
    return f"{plan.project_slug}/{plan.workload_slug}"


def load(path: Path | None) -> Manifest:
    """Read the manifest at *path*, or the one of this directory.

    Raises:
        ManifestError: there is none, or it has mistakes.
        CommandError: another manifest beside it has the same lock file, and so would remove what this one made.
    """
    found = load_manifest(find_manifest() if path is None else path)
    names = (found.path.with_suffix(suffix) for suffix in SUFFIXES)
    shared = (
        found.lock_path.name == "inferencekey.lock"
    )  # only the default name has one lock for all formats
    twins = [name for name in names if name != found.path and name.is_file()] if shared else []
    if twins:
        raise CommandError(
            f"{found.path} and {twins[0]} would share {found.lock_path}, and each would remove what the other made; "
            "rename one, or put it elsewhere"
        )
    return found


async def survey(
    mgmt: AsyncManagementClient, manifest: Manifest, *, project: str | None, prune: bool
) -> Survey:
    """Compare a manifest with what is live, and change nothing.

    Args:
        mgmt: the client.
        manifest: the manifest.
        project: ``--project``.
        prune: whether the removals are to be done.

    Raises:
        InferenceKeyError: what the platform answered.
    """
    _warn(manifest)
    lock = Lock.read(manifest.lock_path)
    wanted = [(_project(mgmt, project, spec.project), spec) for spec in manifest.specs]
    declared: dict[str, set[str]] = {where: set() for where in _projects(mgmt, manifest, project)}
    for where, spec in wanted:
        declared.setdefault(where, set()).add(canonical_slug(spec.slug))
    live = await live_workloads(mgmt, declared)
    for where, spec in wanted:
        for text in plan_warnings(spec, live[where].get(canonical_slug(spec.slug))):
            warning(text)
    plans = tuple(
        make_plan(spec, live[where].get(canonical_slug(spec.slug)), project=where)
        for where, spec in wanted
    )
    records = _walk(lock, mgmt.base_url, live, declared)
    return Survey(
        base_url=mgmt.base_url,
        manifest=manifest.path,
        lock=manifest.lock_path,
        plans=plans,
        removals=records.removals,
        prune=prune,
        kept=records.kept,
        stale=records.stale,
    )


async def survey_for_destroy(
    mgmt: AsyncManagementClient, manifest: Manifest, *, project: str | None
) -> Survey:
    """Return what the destruction of everything that the manifest's applies created would do.

    Args:
        mgmt: the client.
        manifest: the manifest.
        project: ``--project``.

    Raises:
        InferenceKeyError: what the platform answered.
    """
    lock = Lock.read(manifest.lock_path)
    wanted = [
        (_project(mgmt, project, spec.project), canonical_slug(spec.slug))
        for spec in manifest.specs
    ]
    projects = {*_projects(mgmt, manifest, project), *(where for where, _ in wanted)}
    live = await live_workloads(mgmt, projects)
    records = _walk(lock, mgmt.base_url, live, {})
    own = {(removal.project, removal.slug) for removal in records.removals}
    told = {(kept.project, kept.slug) for kept in records.kept}
    strangers = (
        Kept(where, slug, "no apply of this manifest created it")
        for where, slug in wanted
        if slug in live[where] and (where, slug) not in own | told
    )
    return Survey(
        base_url=mgmt.base_url,
        manifest=manifest.path,
        lock=manifest.lock_path,
        plans=(),
        removals=records.removals,
        prune=True,
        kept=(*records.kept, *strangers),
        stale=records.stale,
    )


async def live_workloads(
    mgmt: AsyncManagementClient, projects: Iterable[str]
) -> Mapping[str, dict[str, Workload]]:
    """Return the live workloads of each project by their slugs: one request for each project.

    Raises:
        InferenceKeyError: what the platform answered.
    """
    found: dict[str, dict[str, Workload]] = {}
    failed: list[InferenceKeyError] = []

    async def read(project: str) -> None:
        try:
            listed = await mgmt.list_workloads(project=project)
        except InferenceKeyError as error:
            failed.append(error)
        else:
            found[project] = {workload.slug: workload for workload in reversed(listed)}

    async with anyio.create_task_group() as tasks:
        for project in projects:
            tasks.start_soon(read, project)
    if failed:
        raise failed[0]
    return found


def _project(mgmt: AsyncManagementClient, option: str | None, spec: str | None) -> str:
    if not (option or spec or mgmt.project):
        raise CommandError(
            'No project configured. Put project = "…" at the manifest\'s top, pass --project, or set INFERENCEKEY_PROJECT.'
        )
    return resolve_project(option, spec, mgmt.project)


def _projects(
    mgmt: AsyncManagementClient, manifest: Manifest, option: str | None
) -> tuple[str, ...]:
    """Return the project that a workload of the manifest would go to if it named none."""
    try:
        return (resolve_project(option, manifest.project, mgmt.project),)
    except ConfigurationError:
        if option is not None:
            raise  # it contradicts the manifest's
        return ()


def _walk(
    lock: Lock,
    base_url: str,
    live: Mapping[str, Mapping[str, Workload]],
    declared: Mapping[str, Collection[str]],
) -> _Records:
    """Sort what the lock file records on this platform, leaving out what is *declared*."""
    removals = tuple(
        Removal(project, workload.slug, workload.id)
        for project, there in live.items()
        for workload in lock.prunable(base_url, project, there.values(), declared.get(project, ()))
    )
    kept: list[Kept] = []
    stale: list[LockEntry] = []
    for entry in sorted(entry for entry in lock.entries if entry.base_url == base_url):
        if entry.project not in live:
            kept.append(
                Kept(entry.project, entry.slug, "the manifest does not speak of its project here")
            )
            continue
        found = live[entry.project].get(entry.slug)
        if found is not None and found.id == entry.id:
            continue
        stale.append(entry)
        if found is not None and entry.slug not in declared.get(entry.project, ()):
            kept.append(
                Kept(entry.project, entry.slug, "it is another than the one that was recorded")
            )
    return _Records(removals, tuple(kept), tuple(stale))


def _warn(manifest: Manifest) -> None:
    for one in manifest.warnings:
        warning(str(one))
