"""The resources that this process holds: descriptors, threads, tasks, memory, objects."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import resource
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import ClientResponse
from faults.load import open_files

from inferencekey import AsyncTextStream, TextStream
from inferencekey._core.data.chat_stream import ChatStream
from inferencekey._http.responses import EventReader, ResponseStream

__all__ = ["Sample", "growth", "take_sample"]

WATCHED = (AsyncTextStream, TextStream, ResponseStream, EventReader, ChatStream, ClientResponse)
"""Classes that may have no instance, also of a subclass, while no call runs."""


class _Mallinfo(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


def _mallinfo() -> Any:
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return None
    function.restype = _Mallinfo
    return function


_read_mallinfo = _mallinfo()


def _heap() -> int:
    """Return the bytes in use outside Python's arenas; 0 without glibc."""
    if _read_mallinfo is None:
        return 0
    found = _read_mallinfo()
    return int(found.uordblks + found.hblkhd)


@dataclass(frozen=True)
class Sample:
    """One measurement, while no call runs.

    Args:
        calls: how many calls were made before.
        rss: resident memory, with what the C library keeps free for later.
        heap: bytes in use outside Python's arenas: long strings, buffers, parsers.
        blocks: memory blocks that Python has allocated.
        objects: how many objects the garbage collector tracks.
        descriptors: open files and sockets.
        threads: running threads.
        tasks: tasks of this loop.
        alive: streams and responses, by class.
    """

    calls: int
    rss: int
    heap: int
    blocks: int
    objects: int
    descriptors: int
    threads: int
    tasks: int
    alive: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def take_sample(calls: int) -> Sample:
    """Measure this process."""
    gc.collect()
    objects = gc.get_objects()
    # The type and not isinstance, which would follow a proxy to an object that may be gone.
    types = [type(found) for found in objects]
    alive = Counter(kind.__name__ for kind in types if issubclass(kind, WATCHED))
    count = len(objects)
    del objects, types
    return Sample(
        calls=calls,
        rss=_rss(),
        heap=_heap(),
        blocks=sys.getallocatedblocks(),
        objects=count,
        descriptors=open_files(),
        threads=threading.active_count(),
        tasks=len(asyncio.all_tasks()),
        alive=dict(alive),
    )


def _rss() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def growth(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the points by least squares; 0 for fewer than two points."""
    if len(samples) < 2:
        return 0.0
    x = sum(p[0] for p in samples) / len(samples)
    y = sum(p[1] for p in samples) / len(samples)
    spread = sum((p[0] - x) ** 2 for p in samples)
    return sum((p[0] - x) * (p[1] - y) for p in samples) / spread if spread else 0.0
