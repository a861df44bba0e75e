"""``inferencekey list``: the project's workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencekey.cli.options import BaseUrl, Json, Project
from inferencekey.cli.printing.output import console, note, print_columns, print_json, sentence

if TYPE_CHECKING:
    from inferencekey.models import Workload

__all__ = ["list_workloads"]

COLUMNS = ("slug", "task", "backend", "model", "policy")


def list_workloads(project: Project = None, base_url: BaseUrl = None, json: Json = False) -> None:
    """List the project's workloads.

    In a pipe, each workload is one line of tab-separated columns: slug, task, backend, model and
    policy.
    """
    import anyio

    from inferencekey.cli.connect import connect, project_of
    from inferencekey.cli.printing.views import workload_dict

    async def read() -> list[Workload]:
        async with connect(base_url, project) as mgmt:
            return await mgmt.list_workloads(project=project_of(mgmt))

    found = sorted(anyio.run(read), key=lambda workload: workload.slug)
    if json:
        print_json([workload_dict(workload) for workload in found])
        return
    if not found:
        note("no workloads")
        return
    rows = [_row(workload) for workload in found]
    out = console()
    if not out.is_terminal:
        print_columns(rows)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in COLUMNS:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)


def _row(workload: Workload) -> tuple[str, ...]:
    cells = (
        workload.slug,
        workload.task_type,
        workload.backend,
        workload.model_name,
        workload.execution_policy or "",
    )
    # A line break or a tab in a name would make more lines or columns of it.
    return tuple(sentence(str(cell)) for cell in cells)
