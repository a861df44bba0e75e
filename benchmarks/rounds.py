"""Interleaved rounds: the clients take turns with short rounds, so that load affects all alike."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.cases import Case
from benchmarks.processes import ClientProcess, ProcessFailed

ROUND_SECONDS: Final = 0.15
"""Wall time that a round should take at least, after calibration."""

PATIENCE: Final = 20.0
"""Seconds for one client of a case. Slow clients run fewer rounds, but at least three."""


@dataclass
class Measured:
    """One client's rounds of one case.

    Args:
        client: its name.
        rounds: the reading of each round; ``None`` for a round that a slow client omits.
        calls: how many calls a round has.
        versions: the versions of the packages in its environment.
        failed: why it has no readings.
    """

    client: str
    rounds: list[dict[str, float] | None] = field(default_factory=list[dict[str, float] | None])
    calls: int = 0
    versions: dict[str, str] = field(default_factory=dict[str, str])
    failed: str | None = None


def measure(
    case: Case, *, rounds: int, url: str, python: dict[str, str], on_progress: Callable[[str], None]
) -> dict[str, Measured]:
    """Run a case and return the readings of each client.

    Args:
        case: the row.
        rounds: how many rounds for each client.
        url: the server's URL.
        python: the interpreter of each environment.
        on_progress: receives a line of progress.
    """
    found: dict[str, Measured] = {}
    with ExitStack() as stack:
        running: dict[str, ClientProcess] = {}
        left_out: dict[str, int] = {}
        for spec in case.specs():
            if spec.environment not in python:
                continue
            on_progress(f"{case.name}: warming up {spec.name}")
            measured = found[spec.name] = Measured(spec.name)
            try:
                process = stack.enter_context(ClientProcess(spec, python[spec.environment], url))
                measured.calls, wall = _calibrate(process, case)
            except ProcessFailed as error:
                measured.failed = str(error)
                continue
            measured.versions = process.versions
            running[spec.name] = process
            left_out[spec.name] = rounds - max(min(3, rounds), min(rounds, int(PATIENCE / wall)))
        for number in range(rounds):
            on_progress(f"{case.name}: round {number + 1} of {rounds}")
            # Every second round in reverse, so that no client always runs after the same other one.
            order = list(running.items())
            for name, process in order if number % 2 == 0 else reversed(order):
                measured = found[name]
                if number >= rounds - left_out[name]:
                    measured.rounds.append(None)
                else:
                    measured.rounds.append(
                        _round(process, case, measured.calls, lead_in=not left_out[name])
                    )
    return found


def _calibrate(process: ClientProcess, case: Case) -> tuple[int, float]:
    """Return how many calls make a round, and its wall time. This is also the warm-up."""
    calls = case.concurrency
    process.round(**_order(case, calls))
    while True:
        wall = process.round(**_order(case, calls))["wall"]
        if wall >= ROUND_SECONDS * 0.8:
            return calls, wall
        calls = max(
            calls * 2,
            case.concurrency * int(calls / case.concurrency * min(20.0, ROUND_SECONDS / wall)),
        )


def _round(process: ClientProcess, case: Case, calls: int, *, lead_in: bool) -> dict[str, float]:
    if lead_in:
        # Connections that were closed during the turns of others are opened before the timing
        # starts.
        process.round(**_order(case, case.concurrency))
    return process.round(**_order(case, calls))


def _order(case: Case, calls: int) -> dict[str, Any]:
    return {"work": case.work, "slug": case.slug, "calls": calls, "concurrency": case.concurrency}
