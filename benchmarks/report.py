"""The results as text for a terminal, as Markdown for the documentation, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from benchmarks.cases import Case
from benchmarks.clients.catalogue import CLIENTS
from benchmarks.goals import GOALS
from benchmarks.probes.figures import Figure
from benchmarks.rounds import Measured
from benchmarks.stats import Spread, format_figure, spread

What = Literal["cpu", "wall", "wait"]
Results = dict[str, dict[str, Measured]]


def main_figure(case: Case) -> What:
    """Return the main figure of a case: CPU time, or the wait for a first chunk."""
    return "wait" if case.work in ("first", "fresh") else "cpu"


def per_unit(case: Case, measured: Measured, what: What) -> list[float | None]:
    """Return seconds by round: CPU or wall time for one unit, or the wait."""
    units = 1 if what == "wait" else measured.calls * case.units
    return [None if reading is None else reading[what] / units for reading in measured.rounds]


def ratio(case: Case, one: Measured, other: Measured, what: What) -> Spread | None:
    """Return the ratio of two clients, each round divided by the same round of the other."""
    pairs = zip(per_unit(case, one, what), per_unit(case, other, what), strict=False)
    return spread(
        mine / theirs
        for mine, theirs in pairs
        if mine is not None and theirs is not None and theirs > 0
    )


def text_table(case: Case, measured: dict[str, Measured]) -> str:
    """Return a case's table for a terminal."""
    what = main_figure(case)
    unit = "ms to first" if what == "wait" else f"µs CPU/{case.per}"
    clock = "CPU µs/call" if what == "wait" else f"µs wall/{case.per}"
    floors = ", ".join(sorted({case.floor_of(CLIENTS[name]) for name in measured}))
    lines = [
        f"{case.title}  [{case.name}]",
        f"  {'':<22}{unit + ' (quartiles)':>26}{'× floor (quartiles)':>26}{clock:>16}   rounds",
    ]
    for name, mine in measured.items():
        if mine.failed is not None:
            lines.append(f"  {name:<22}  failed: {mine.failed}")
            continue
        own = spread(value for value in per_unit(case, mine, what) if value is not None)
        beside = spread(
            value
            for value in per_unit(case, mine, "cpu" if what == "wait" else "wall")
            if value is not None
        )
        floor = case.floor_of(CLIENTS[name])
        against = ratio(case, mine, measured[floor], what) if floor in measured else None
        shown = own.times(1e3 if what == "wait" else 1e6) if own else "-"
        count = sum(reading is not None for reading in mine.rounds)
        lines.append(
            f"  {name:<22}{shown!s:>26}{'-' if against is None else str(against):>26}"
            f"{format_figure(beside.median * 1e6) if beside else '-':>16}   {count}"
        )
    lines.append(f"  floor: {floors}")
    return "\n".join(lines)


def goal_lines(results: Results, cases: dict[str, Case]) -> list[str]:
    """Return a line for each goal that this run measured: the median ratio and its bound."""
    lines: list[str] = []
    for goal in GOALS:
        measured = results.get(goal.case, {})
        one, other = measured.get(goal.client), measured.get(goal.than)
        if one is None or other is None:
            continue
        found = ratio(cases[goal.case], one, other, goal.of)
        if found is not None:
            met = "met   " if found.median <= goal.bound else "MISSED"
            of = ", wall time" if goal.of == "wall" else ""
            lines.append(
                f"{met} {goal.case}{of}: "
                f"{goal.client} is {found} × {goal.than}; at most {goal.bound:g}"
            )
    return lines


COLUMNS = (
    ("floor, aiohttp", ("floor-aiohttp",)),
    ("floor, raw socket", ("floor-socket",)),
    ("floor, `http.client`", ("floor-httpclient",)),
    ("floor, least bridge (uvloop)", ("floor-bridge", "floor-bridge+uvloop")),
    ("official SDK (sync)", ("official-sync",)),
    ("huggingface_hub (sync)", ("huggingface-async", "huggingface-sync")),
    ("openai, httpx (aiohttp; sync)", ("openai-async", "openai-async-aiohttp", "openai-sync")),
    ("**ours, async (uvloop)**", ("ours-async", "ours-async+uvloop")),
    ("**ours, sync (uvloop)**", ("ours-sync", "ours-sync+uvloop")),
)


def markdown(
    results: Results,
    cases: dict[str, Case],
    figures: dict[str, list[Figure]],
    machine_info: dict[str, str],
) -> str:
    """Return the tables of docs/performance.md."""
    lines = [
        f"Measured on {machine_info['date']}: {machine_info['cpu']}, "
        f"{machine_info['cores']} cores, {machine_info['system']}."
    ]
    lines += [f"Versions: {_versions(results)}.", ""] if results else [""]
    data = {
        name: row
        for name, row in results.items()
        if "floor-aiohttp" in row or "floor-bridge" in row
    }
    control = {name: row for name, row in results.items() if "floor-list" in row}
    if data:
        lines += _data_plane(data, cases)
    if control:
        lines += ["", *_control_plane(control, cases)]
    for found in figures.values():
        lines += ["", "| what | on | median (quartiles) | × |", "|---|---|---|---|"]
        for figure in found:
            against = f"{figure.ratio} × {figure.than}" if figure.ratio else ""
            lines.append(
                f"| {figure.what.strip()} | {figure.subject} "
                f"| {figure.value} {figure.unit} | {against} |"
            )
    return "\n".join(lines)


def _versions(results: Results) -> str:
    found: dict[str, None] = {}
    for row in results.values():
        for client, measured in row.items():
            official = CLIENTS[client].environment == "official"
            for name, version in measured.versions.items():
                found[
                    f"{'official SDK' if official and name == 'inferencekey' else name} {version}"
                ] = None
    return ", ".join(found)


def _control_plane(results: Results, cases: dict[str, Case]) -> list[str]:
    """Return the table of the control plane, in milliseconds.

    The share outside the network is what the floor that only reads the list does not need.
    """
    subject = (
        "floor-list",
        "floor-list-parsed",
        "ours-management-async",
        "ours-management-sync",
        "official-management",
    )
    titles = (
        "floor: list read",
        "floor: list parsed",
        "**ours, async**",
        "**ours, sync**",
        "official SDK",
    )
    lines = [
        f"| what, ms CPU | {' | '.join(titles)} | ours, async: outside the network |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in results.items():
        case = cases[name]
        cells: list[str] = []
        for client in subject:
            measured = row.get(client)
            found = (
                spread(value for value in per_unit(case, measured, "cpu") if value is not None)
                if measured
                else None
            )
            cells.append(format_figure(found.median * 1e3) if found else "–")
        against = ratio(case, row["floor-list"], row["ours-management-async"], "cpu")
        cells.append(f"{(1 - against.median) * 100:.0f} %" if against else "–")
        lines.append(f"| {case.title} | {' | '.join(cells)} |")
    return lines


def _data_plane(results: Results, cases: dict[str, Case]) -> list[str]:
    titles = [
        title
        for title, names in COLUMNS
        if any(name in row for row in results.values() for name in names)
    ]
    used = [names for title, names in COLUMNS if title in titles]
    lines = [f"| what | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
    for name, row in results.items():
        case = cases[name]
        cells = [_cell(case, row, names) for names in used]
        unit = ", ms" if main_figure(case) == "wait" else ", µs CPU"
        lines.append(f"| {case.title}{unit} | {' | '.join(cells)} |")
    lines += [
        "",
        "Ours as a multiple of the floor: median (quartiles) of the ratios of the rounds.",
        "",
    ]
    lines += [
        "| what | async / aiohttp | async, uvloop / aiohttp "
        "| sync / its floor | sync, uvloop / its floor |"
    ]
    lines += ["|---|---|---|---|---|"]
    for name, row in results.items():
        case = cases[name]
        cells = [
            _against_floor(case, row, client)
            for client in ("ours-async", "ours-async+uvloop", "ours-sync", "ours-sync+uvloop")
        ]
        floor = case.floor_of(CLIENTS["ours-sync"]).removeprefix("floor-")
        against = f" (sync: {floor})" if "ours-sync" in row else ""
        lines.append(f"| {case.title}{against} | {' | '.join(cells)} |")
    return lines


def _cell(case: Case, row: dict[str, Measured], names: tuple[str, ...]) -> str:
    what = main_figure(case)

    def shown(name: str) -> str:
        measured = row.get(name)
        if measured is None or measured.failed is not None:
            return "–"
        found = spread(value for value in per_unit(case, measured, what) if value is not None)
        return format_figure(found.median * (1e3 if what == "wait" else 1e6)) if found else "–"

    first, *rest = (shown(name) for name in names)
    if all(cell == "–" for cell in rest):
        return first
    return f"{first} ({'; '.join(rest)})"


def _against_floor(case: Case, row: dict[str, Measured], name: str) -> str:
    floor = case.floor_of(CLIENTS[name])
    if name not in row or floor not in row:
        return "–"
    found = ratio(case, row[name], row[floor], main_figure(case))
    return str(found) if found else "–"


def as_json(
    results: Results, figures: dict[str, list[Figure]], machine_info: dict[str, str]
) -> dict[str, Any]:
    """Return every reading of every round, and every figure."""
    return {
        "machine": machine_info,
        "cases": {
            case: {name: asdict(one) for name, one in row.items()} for case, row in results.items()
        },
        "figures": {
            probe: [asdict(figure) for figure in found] for probe, found in figures.items()
        },
    }
