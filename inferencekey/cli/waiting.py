"""Wait for workloads of one or more projects."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import anyio

from inferencekey import AsyncManagementClient
from inferencekey.cli.printing.failures import SeveralErrors, error_dict
from inferencekey.cli.printing.output import print_json
from inferencekey.errors import InferenceKeyError, WaitAllError
from inferencekey.models import ReadinessEvent

__all__ = ["wait_for"]


async def wait_for(
    mgmt: AsyncManagementClient,
    workloads: Mapping[str, Sequence[str]],
    timeout: float,
    *,
    json: bool,
) -> None:
    """Wait until each workload is ready or has failed, one project after the other.

    Args:
        mgmt: the client.
        workloads: the slugs of each project.
        timeout: seconds for all projects together.
        json: print one line of JSON for each event, instead of the display.

    Raises:
        InferenceKeyError: exactly one workload is not ready; the error is the workload's own.
        SeveralErrors: several workloads are not ready.
    """
    failed: dict[str, InferenceKeyError] = {}
    first = next(iter(workloads), None)
    until = anyio.current_time() + timeout
    for project, slugs in workloads.items():
        left = timeout if project == first else max(until - anyio.current_time(), 0.1)
        try:
            await mgmt.wait_all(
                slugs,
                project=project,
                timeout=left,
                on_progress=functools.partial(_print_event, project) if json else None,
            )
        except WaitAllError as error:
            for inner in error.exceptions:
                if not isinstance(inner, InferenceKeyError):
                    raise inner from None
                failed[f"{project}/{inner.workload}"] = inner
                if json:
                    print_json(
                        {
                            "project": project,
                            "slug": inner.workload,
                            "error": error_dict(inner, log=False),
                        }
                    )
    if len(failed) == 1:
        raise next(iter(failed.values()))
    if failed:
        count = sum(len(set(slugs)) for slugs in workloads.values())
        raise SeveralErrors(f"{len(failed)} of {count} workloads are not ready", failed)


def _print_event(project: str, slug: str, event: ReadinessEvent) -> None:
    print_json(
        {
            "project": project,
            "slug": slug,
            "phase": str(event.phase),
            "step": event.step,
            "message": event.message,
            "elapsed_ms": event.elapsed_ms,
        }
    )
