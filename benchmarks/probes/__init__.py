"""Measurements that are not one loop of calls. Each returns figures."""

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
        name: ``--only`` selects probes by a part of it.
        title: the name in reports.
        measure: returns the figures.
        explicit: whether it runs only if ``--only`` selects it.
    """

    name: str
    title: str
    measure: Callable[[Context], list[Figure]]
    explicit: bool = False


PROBES: Final = (
    Probe("startup", "import and first response", startup.measure),
    Probe("embed-memory", "peak memory of embed", embed_memory.measure),
    Probe(
        "local-gateway",
        "the local gateway with an engine that computes nothing",
        local.measure_gateway,
    ),
    Probe(
        "local-engine",
        "the local platform and its gateway, with the real engine",
        local.measure_engine,
    ),
    Probe("many", "10,000 open streams (minutes, 400 MB)", many.measure, explicit=True),
)


def select_probes(only: list[str]) -> list[Probe]:
    """Return the probes whose name contains one of *only*.

    If *only* is empty, return all probes that are not explicit.
    """
    if not only:
        return [probe for probe in PROBES if not probe.explicit]
    return [probe for probe in PROBES if any(part in probe.name for part in only)]
