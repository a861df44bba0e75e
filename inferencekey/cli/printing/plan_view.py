"""A plan for people: the diff of each workload, coloured on a terminal, and one line of counts."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from inferencekey.deploy import ManifestPlan
from inferencekey.printable import shown

__all__ = ["counts", "show_plan", "show_removals"]

STYLES = {"+": "green", "-": "red", "~": "yellow", "=": "dim"}


def show_plan(plan: ManifestPlan, out: Console) -> None:
    """Print every change, the removals, what is left alone, and the counts."""
    for one in plan.plans:
        for line in one.lines():
            _print(out, str(line), STYLES.get(line.sign, ""))
    show_removals(plan, out)
    out.print(Text(f"Plan: {counts(plan)}", style="bold"))


def show_removals(plan: ManifestPlan, out: Console) -> None:
    """Print the removals, and what is left alone."""
    for removal in plan.removals:
        if plan.prune:
            _print(out, f"- {removal.name}: remove", "red")
        else:
            _print(out, f"  {removal.name}: no longer in the manifest; --prune removes it", "dim")
    for one in plan.left_alone:
        _print(out, f"  {one.name}: left alone: {one.reason}", "dim")


def counts(plan: ManifestPlan) -> str:
    """Return how many workloads are to be created, updated and removed."""
    parts = [
        f"{plan.count('create')} to create",
        f"{plan.count('update')} to update",
        f"{plan.count('none')} unchanged",
    ]
    if plan.removals:
        condition = "" if plan.prune else " (with --prune)"
        parts.append(f"{len(plan.removals)} to remove{condition}")
    return ", ".join(parts)


def _print(out: Console, text: str, style: str) -> None:
    out.print(Text(shown(text), style=style))
