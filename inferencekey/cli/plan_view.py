"""A survey for people: the diff of each workload, coloured on a terminal, and a line that sums it up."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from inferencekey.cli.output import plain_text
from inferencekey.deploy.plan import Survey

__all__ = ["show_records", "show_survey", "summary"]

STYLES = {"+": "green", "-": "red", "~": "yellow", "=": "dim"}


def show_survey(found: Survey, out: Console) -> None:
    """Print every plan, the removals, what is left alone, and the summary."""
    for plan in found.plans:
        for line in plan.lines():
            _line(out, str(line), STYLES.get(line.sign, ""))
    show_records(found, out)
    out.print(Text(summary(found), style="bold"))


def show_records(found: Survey, out: Console) -> None:
    """Print the removals, and what is left alone."""
    for removal in found.removals:
        if found.prune:
            _line(out, f"- {removal.name}: remove", "red")
        else:
            _line(out, f"  {removal.name}: no longer in the manifest; --prune removes it", "dim")
    for kept in found.kept:
        _line(out, f"  {kept.project}/{kept.slug}: left alone: {kept.why}", "dim")


def summary(found: Survey) -> str:
    """Return the line that sums a survey up."""
    parts = [
        f"{found.count('create')} to create",
        f"{found.count('update')} to update",
        f"{found.count('none')} unchanged",
    ]
    if found.removals:
        parts.append(
            f"{len(found.removals)} to remove" + ("" if found.prune else " (with --prune)")
        )
    return f"Plan: {', '.join(parts)}"


def _line(out: Console, text: str, style: str) -> None:
    out.print(Text(plain_text(text), style=style))
