"""``inferencekey status``: what the local platform is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferencekey.cli.options import DataDir, Json
from inferencekey.cli.printing.output import (
    console,
    note,
    print_json,
    print_lines,
    print_text,
    sentence,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from inferencekey.local.status import PlatformStatus, WorkloadStatus

__all__ = ["status"]

COLOURS = {"ready": "green", "error": "red", "stopped": "dim"}


def status(data: DataDir = None, json: Json = False) -> None:
    """Show whether the local platform runs, its workloads, and which model really serves each.

    The exit code is 0 whether it runs or not. The JSON field `running` says which.
    """
    import attrs

    from inferencekey.local.status import platform_status

    found = platform_status(data)
    workloads = sorted(found.workloads, key=lambda item: (item.project, item.slug))
    found = attrs.evolve(found, workloads=tuple(workloads))
    if json:
        print_json(_to_dict(found))
        return
    out = console()
    if found.running:
        headline = f"running at {found.base_url} (pid {found.pid}), data in {found.data_dir}"
    else:
        headline = f"not running; data in {found.data_dir}. `inferencekey up` starts it."
    print_text(headline)
    if not found.workloads:
        note("no workloads")
    elif out.is_terminal:
        _print_table(found.workloads, out)
    else:
        print_lines(map(_line, found.workloads))


def _line(item: WorkloadStatus) -> str:
    return (
        f"{item.project}/{item.slug}  {item.line}  asked for {item.model_name}, "
        f"served by {item.served_by or 'no model yet'}  {sentence(item.message)}"
    )


def _print_table(workloads: tuple[WorkloadStatus, ...], out: Console) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("workload", no_wrap=True)  # cut only after all others
    for title in ("task", "phase", "asked for", "served by", "message"):
        table.add_column(title)
    for item in workloads:
        # The other columns have what the message of a ready workload repeats.
        message = "" if item.phase == "ready" else item.message
        table.add_row(
            _cell(f"{item.project}/{item.slug}"),
            _cell(item.task_type),
            _cell(item.line, COLOURS.get(item.phase, "yellow")),
            _cell(item.model_name),
            _cell(item.served_by or "–"),
            _cell(message),
        )
    out.print(table)


def _cell(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(sentence(text), style=style, no_wrap=True, overflow="ellipsis")


def _to_dict(found: PlatformStatus) -> dict[str, Any]:
    import attrs

    return {**attrs.asdict(found), "data_dir": str(found.data_dir)}
