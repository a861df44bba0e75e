"""What is not one loop of calls: measured in its own way, and reported as figures with what they are compared to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.probes import embed_memory, local, many, startup
from benchmarks.probes.figures import Context, Figure


@dataclass(frozen=True)
class Probe:
    """One probe.

    Args:
        name: what ``--only`` finds, as a part.
        title: as the report says it.
        measure: returns its figures.
        asked: runs only when it is asked for by ``--only``.
    """

    name: str
    title: str
    measure: Callable[[Context], list[Figure]]
    explicit: bool = False


PROBES: Final = (
    Probe("startup", "importing and the first answer", startup.measure),
    Probe("embed-memory", "peak memory of embed", embed_memory.measure),
    Probe(
        "local-gateway",
        "the local gateway, before an engine that computes nothing",
        local.measure_gateway,
    ),
    Probe(
        "local-engine",
        "the local platform and its gateway, with the real engine",
        local.measure_engine,
    ),
    Probe("many", "10,000 streams open at once (minutes, 400 MB)", many.measure, explicit=True),
)


def select_probes(only: list[str]) -> list[Probe]:
    """Return the probes whose name contains one of *only*; all that need not be asked for, if it is empty."""
    if not only:
        return [probe for probe in PROBES if not probe.explicit]
    return [probe for probe in PROBES if any(part in probe.name for part in only)]
