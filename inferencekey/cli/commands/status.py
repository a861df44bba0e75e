"""``inferencekey status``: what the local platform is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferencekey.cli.options import DataDir, Json
from inferencekey.cli.output import console, note, plain_text, print_json

if TYPE_CHECKING:
    from inferencekey.local.status import PlatformStatus

__all__ = ["status"]

COLOURS = {"ready": "green", "error": "red", "stopped": "dim"}


def status(data: DataDir = None, json: Json = False) -> None:
    """Show whether the local platform runs, its workloads, and which model really answers for each.

    Exit code 0 whether it runs or not: the question was answered. `--json` has it as `running`.
    """
    import attrs

    from inferencekey.local.status import platform_status

    found = platform_status(data)
    found = attrs.evolve(
        found, workloads=tuple(sorted(found.workloads, key=lambda item: (item.project, item.slug)))
    )
    if json:
        print_json(_plain(found))
        return
    out = console()
    if found.running:
        out.print(
            f"running at {found.base_url} (pid {found.pid}), data in {found.data_dir}", markup=False
        )
    else:
        out.print(
            f"not running; data in {found.data_dir}. `inferencekey up` starts it.", markup=False
        )
    if not found.workloads:
        note("no workloads")
        return
    if not out.is_terminal:
        for item in found.workloads:
            out.print(
                f"{item.project}/{item.slug}  {item.line}  asked for {item.model_name}, "
                f"answered by {item.served_by or 'nobody'}  {item.message}",
                markup=False,
            )
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("workload", no_wrap=True)  # the last to be cut
    for title in ("task", "phase", "asked for", "answered by", "message"):
        table.add_column(title)

    def cell(text: str, style: str = "") -> Text:
        return Text(
            plain_text(" ".join(text.split())), style=style, no_wrap=True, overflow="ellipsis"
        )

    for item in found.workloads:
        table.add_row(
            cell(f"{item.project}/{item.slug}"),
            cell(item.task_type),
            cell(item.line, COLOURS.get(item.phase, "yellow")),
            cell(item.model_name),
            cell(item.served_by or "–"),
            cell(
                "" if item.phase == "ready" else item.message
            ),  # what it would say is in the columns
        )
    out.print(table)


def _plain(found: PlatformStatus) -> dict[str, Any]:
    import attrs

    return {**attrs.asdict(found), "data_dir": str(found.data_dir)}
