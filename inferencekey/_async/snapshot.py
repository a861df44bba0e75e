"""The live workloads of some projects, each project listed once."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from inferencekey._async.bulk import run_each
from inferencekey._async.control_api import ControlApi, Listing
from inferencekey._core.control.converge import Finish, Machine
from inferencekey._core.control.plans import make_plan, moved_error, plan_warnings
from inferencekey.errors import DriftError
from inferencekey.models import Plan, Workload, WorkloadSpec

__all__ = ["Snapshot"]


class Snapshot:
    """The live workloads of some projects. They replace the first read of every workload.

    Args:
        control: the control plane's requests.
        listings: the list of each project, or the reason why it could not be listed.
    """

    def __init__(self, control: ControlApi, listings: Mapping[str, Listing | Exception]) -> None:
        self._control = control
        self._listings = listings

    @classmethod
    async def take(
        cls, control: ControlApi, projects: Iterable[str], max_concurrency: int
    ) -> Snapshot:
        """List every project, each one once."""
        names = list(dict.fromkeys(projects))
        outcomes = await run_each(names, max_concurrency, control.list)
        for outcome in outcomes:
            if isinstance(outcome, Listing):
                outcome.index()
        return cls(control, dict(zip(names, outcomes, strict=True)))

    def check(self) -> None:
        """Raise the error of the first project that could not be listed."""
        for project in self._listings:
            self._listing(project)

    def find(self, project: str, slug: str) -> Workload | None:
        """Return the workload with this canonical slug."""
        return self._listing(project).find(slug)

    def workloads(self, project: str) -> list[Workload]:
        """Return every workload of a project."""
        return self._listing(project).all()

    def plan(self, spec: WorkloadSpec, slug: str, project: str) -> Plan:
        """Return what would bring the live workload to the spec."""
        return make_plan(spec, self.find(project, slug), project=project)

    def warnings(self, spec: WorkloadSpec, slug: str, project: str) -> tuple[str, ...]:
        """Return what the spec declares and no plan can change, one text each."""
        return plan_warnings(spec, self.find(project, slug))

    def moved(self, plan: Plan) -> DriftError | None:
        """Return why the plan can no longer be applied; ``None`` if it can."""
        return moved_error(plan, self.find(plan.project_slug, plan.workload_slug))

    async def converge(self, machine: Machine, project: str) -> Finish:
        """Carry out an ``ensure`` or an ``apply``; the list replaces its first read."""
        return await self._control.converge(machine, project, self._listing(project))

    def _listing(self, project: str) -> Listing:
        listing = self._listings[project]
        if isinstance(listing, Exception):
            # Each workload of the project gets an error of its own, which names the workload.
            raise copy.copy(listing)
        return listing
