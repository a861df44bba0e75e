"""The rows: which call, how many at the same time, and which clients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from benchmarks.clients.catalogue import CLIENTS, ClientSpec, Style
from benchmarks.wire import EVENTS

Work = Literal["stream", "unary", "first", "fresh", "embed", "ensure", "ensure_all"]

ASYNC: Final = (
    "floor-aiohttp",
    "floor-aiohttp+uvloop",
    "floor-socket",
    "ours-async",
    "ours-async+uvloop",
    "huggingface-async",
    "openai-async",
    "openai-async-aiohttp",
)
SYNC: Final = (
    "floor-httpclient",
    "ours-sync",
    "ours-sync+uvloop",
    "official-sync",
    "huggingface-sync",
    "openai-sync",
)
BRIDGES: Final = ("floor-bridge", "floor-bridge+uvloop")
CONTROL: Final = (
    "floor-list",
    "floor-list-parsed",
    "ours-management-async",
    "ours-management-sync",
    "official-management",
)


@dataclass(frozen=True)
class Case:
    """One row.

    Args:
        name: ``--only`` selects cases by a part of it.
        title: the name in tables.
        work: which call.
        clients: the clients that are measured.
        slug: the workload that is called, or the project.
        concurrency: calls in flight, in one loop or in as many threads.
        per: what one unit is: a chunk of the stream or a call.
        floors: the floor that each style is divided by.
    """

    name: str
    title: str
    work: Work
    clients: tuple[str, ...]
    slug: str = ""
    concurrency: int = 1
    per: Literal["chunk", "call"] = "call"
    floors: tuple[tuple[Style, str], ...] = (("async", "floor-aiohttp"), ("sync", "floor-bridge"))

    @property
    def units(self) -> int:
        """Units of one call."""
        return EVENTS[self.slug] if self.per == "chunk" else 1

    def floor_of(self, client: ClientSpec) -> str:
        """Return the name of the floor that a client is divided by."""
        floor = dict(self.floors)[client.style]
        return floor if floor in self.clients else self.clients[0]

    def specs(self) -> list[ClientSpec]:
        """Return the clients that are measured."""
        return [CLIENTS[name] for name in self.clients]


STREAM_FLOORS: Final[tuple[tuple[Style, str], ...]] = (
    ("async", "floor-aiohttp"),
    ("sync", "floor-httpclient"),
)


def _stream(name: str, title: str, slug: str, concurrency: int = 1) -> Case:
    return Case(name, title, "stream", ASYNC + SYNC, slug, concurrency, "chunk", STREAM_FLOORS)


CONTROL_FLOORS: Final[tuple[tuple[Style, str], ...]] = (
    ("async", "floor-list"),
    ("sync", "floor-list"),
)


def _control(
    name: str, title: str, work: Work, project: str, clients: tuple[str, ...] = CONTROL
) -> Case:
    return Case(name, title, work, clients, project, floors=CONTROL_FLOORS)


CASES: Final = (
    _stream("stream-64", "one stream, per chunk, 64 a write", "stream-64"),
    _stream("stream-1", "one stream, per chunk, one a write", "stream-1"),
    Case(
        "stream-varied",
        "one stream, per chunk, 64 a write, all different",
        "stream",
        ("floor-aiohttp", "ours-async", "floor-httpclient", "ours-sync", "official-sync"),
        "stream-varied",
        1,
        "chunk",
        STREAM_FLOORS,
    ),
    _stream("stream-paced-200", "200 streams paced 5 ms, per chunk", "paced", 200),
    _stream("stream-paced-one", "one stream paced 1 ms, per chunk", "paced-one"),
    Case(
        "first-warm",
        "first chunk, warm client",
        "first",
        ASYNC + SYNC,
        "short",
        floors=STREAM_FLOORS,
    ),
    Case(
        "first-fresh",
        "first chunk, fresh client",
        "fresh",
        ASYNC + SYNC,
        "short",
        floors=STREAM_FLOORS,
    ),
    Case("unary-1", "unary, one at a time", "unary", ASYNC + BRIDGES + SYNC, "unary"),
    Case("unary-64", "unary, 64 in flight", "unary", ASYNC, "unary", 64),
    Case("unary-512", "unary, 512 in flight", "unary", ASYNC, "unary", 512),
    Case("unary-threads", "unary, 32 threads", "unary", BRIDGES + SYNC, "unary", 32),
    Case(
        "embed",
        "embed, 256 × 1024 floats",
        "embed",
        (
            "floor-aiohttp",
            "floor-bridge",
            "ours-async",
            "ours-sync",
            "official-sync",
            "openai-async",
            "openai-sync",
        ),
        "embed",
    ),
    _control("ensure-100", "ensure of an existing workload, among 100", "ensure", "p100"),
    _control("ensure-10000", "ensure of an existing workload, among 10,000", "ensure", "p10000"),
    # Without the official SDK: it makes 200 calls in a row, so it takes 200 times the row above.
    _control(
        "ensure-all",
        "ensure_all of 200 existing workloads, among 10,000",
        "ensure_all",
        "p10000",
        CONTROL[:-1],
    ),
    _control("ensure-all-create", "ensure_all of 200 new workloads", "ensure_all", "empty"),
)


def select_cases(only: list[str], clients: list[str], *, peers: bool) -> list[Case]:
    """Return the cases and clients whose names contain one of *only* and one of *clients*.

    An empty list selects everything. Floors are always kept, because the others are divided by
    them.
    """

    def takes_part(name: str) -> bool:
        role = CLIENTS[name].role
        if role == "peer" and not peers:
            return False
        return role == "floor" or not clients or any(part in name for part in clients)

    return [
        replace(
            case,
            clients=tuple(
                name for each in case.clients for name in _with_before(each) if takes_part(name)
            ),
        )
        for case in CASES
        if not only or any(part in case.name for part in only)
    ]


def _with_before(name: str) -> tuple[str, ...]:
    """Return a client, and before it its earlier state if ``--before`` has added one."""
    before = name.replace("ours-", "before-")
    return (before, name) if before != name and before in CLIENTS else (name,)
