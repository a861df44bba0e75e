"""What this process holds on to: descriptors, threads, tasks, memory, objects."""

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
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["Sample", "growth", "take"]

OURS = frozenset(
    {
        "AsyncTextStream",
        "TextStream",
        "ByteStream",
        "EventReader",
        "ChatStream",
        "ClientResponse",
        "Reply",
    }
)
"""None of these may be alive when no call is."""


class _Mallinfo(ctypes.Structure):
    """glibc's account of its heap."""

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


_account = _mallinfo()


def _heap() -> int:
    """Bytes that are in use outside of Python's own arenas; 0 where the C library does not say."""
    if _account is None:
        return 0
    found = _account()
    return int(found.uordblks + found.hblkhd)


@dataclass(frozen=True)
class Sample:
    """One look at the process while no call is running.

    Args:
        calls: how many have been made.
        rss: resident memory, what the C library has free and keeps for later included.
        heap: bytes in use: texts, buffers, parsers.
        blocks: small blocks of Python's in use.
        objects: what the garbage collector knows.
        descriptors: open files and sockets.
        threads: running threads.
        tasks: of this loop.
        alive: streams and responses.
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


def take(calls: int) -> Sample:
    """Look."""
    gc.collect()
    objects = gc.get_objects()
    kinds = Counter(
        type(found).__name__
        for found in objects
        if type(found).__name__ in OURS
        and type(found).__module__.startswith(("inferencekey", "aiohttp"))
    )
    count = len(objects)
    del objects
    return Sample(
        calls=calls,
        rss=_rss(),
        heap=_heap(),
        blocks=sys.getallocatedblocks(),
        objects=count,
        descriptors=_descriptors(),
        threads=threading.active_count(),
        tasks=len(asyncio.all_tasks()),
        alive=dict(kinds),
    )


def _descriptors() -> int:
    # libuv, which may run the bridge's loop, keeps one of /dev/null for itself once it has needed it.
    if sys.platform != "linux":
        return len(os.listdir("/dev/fd"))
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that the list was read from
            count += os.readlink(f"/proc/self/fd/{name}") != os.devnull
    return count


def _rss() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def growth(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line through the points, by least squares; 0 of fewer than two."""
    if len(samples) < 2:
        return 0.0
    x = sum(p[0] for p in samples) / len(samples)
    y = sum(p[1] for p in samples) / len(samples)
    spread = sum((p[0] - x) ** 2 for p in samples)
    return sum((p[0] - x) * (p[1] - y) for p in samples) / spread if spread else 0.0
