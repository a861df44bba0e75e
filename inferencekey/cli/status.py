"""``inferencekey status``: what the local platform is doing."""

from __future__ import annotations

from typing import Any

import attrs
from rich.table import Table
from rich.text import Text

from inferencekey.cli.options import DataDir, Json
from inferencekey.cli.output import console, note, print_json
from inferencekey.local.status import PlatformStatus, platform_status

__all__ = ["status"]

COLOURS = {"ready": "green", "error": "red", "stopped": "dim"}


def status(data: DataDir = None, json: Json = False) -> None:
    """Show whether the platform runs, its workloads, and which model really answers for each."""
    found = platform_status(data)
    if json:
        print_json(_plain(found))
        return
    out = console()
    if found.running:
        out.print(f"running at {found.base_url} (pid {found.pid}), data in {found.data_dir}", markup=False)
    else:
        out.print(f"not running; data in {found.data_dir}. `inferencekey up` starts it.", markup=False)
    if not found.workloads:
        note("no workloads")
        return
    if not out.is_terminal:
        for item in found.workloads:
            out.print(
                f"{item.project}/{item.slug}  {item.phase}  asked for {item.model_name}, "
                f"answered by {item.served_by or 'nobody'}  {item.message}",
                markup=False,
            )
        return
    table = Table(box=None, pad_edge=False)
    for title in ("workload", "task", "phase", "asked for", "answered by", "message"):
        table.add_column(title, overflow="fold")
    for item in found.workloads:
        phase = Text(item.phase, style=COLOURS.get(item.phase, "yellow"))
        table.add_row(
            f"{item.project}/{item.slug}",
            item.task_type,
            phase,
            item.model_name,
            item.served_by or "–",
            "" if item.phase == "ready" else item.message,  # what it would say is in the columns
        )
    out.print(table)


def _plain(found: PlatformStatus) -> dict[str, Any]:
    return {**attrs.asdict(found), "data_dir": str(found.data_dir)}
