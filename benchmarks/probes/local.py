"""The local platform: what its gateway adds, and how long a workload takes to its first token.

The gateway's CPU for a chunk is what the platform's process took for a long stream less what it took for a short one, over
the events between them. It is measured with an engine that computes nothing, so that nobody else wants the processors, and
with the real one. Beside it, in turn, is ``floor-relay``: a process that passes bytes from socket to socket, unread.

What the gateway adds to the first token is against the same engine program called directly, in turn.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, cast

from benchmarks import launch
from benchmarks.clients.catalogue import CLIENTS
from benchmarks.probes.figures import Context, Figure, compared
from benchmarks.processes import Lines, environment, launched

COLD: Final = 3
FIRSTS: Final = 25
"""Short streams by each way in a round, to find what the first token costs."""
REAL_FIRSTS: Final = 6
"""The same with the real engine, which takes 30 ms each."""

Readings = dict[str, list[dict[str, float]]]


def measure_gateway(context: Context) -> list[Figure]:
    """Return what the gateway costs before an engine that computes nothing; without uvloop and with it."""
    if sys.platform != "linux":
        return []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        return _prepared(context, f"{folder}/platform")


def measure_engine(context: Context) -> list[Figure]:
    """Return the figures of the local platform with its real engine."""
    if sys.platform != "linux":
        return []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        return _real(context, f"{folder}/platform")


def _prepared(context: Context, folder: str) -> list[Figure]:
    ways = ["direct"]
    kinds = {"paced": ("paced-8", "paced-104", 1), "4 paced": ("paced-8", "paced-104", 4)}
    kinds["in bursts"] = ("burst-8", "burst-1032", 1)
    found: dict[str, Readings] = {kind: {} for kind in kinds}
    firsts: dict[str, list[float]] = {}
    with ExitStack() as stack:
        context.say("local: starting platforms with an engine that computes nothing")
        client: _Client | None = None
        for mark in ("", "+uvloop"):
            run = _Platform(context, f"{folder}{mark}", uvloop=bool(mark))
            other = stack.enter_context(run)
            other.ask(do="ensure", slug="prepared", command=_command(context))
            client = client or other
            client.ask(do="way", name=f"gateway{mark}", **run.way("prepared"))
            port = client.ask(do="port", way=f"gateway{mark}")["port"]
            engine = {"url": f"http://127.0.0.1:{port}", "api_key": "-", "model": "-"}
            if not mark:
                client.ask(do="way", name="direct", **engine)
            relay = stack.enter_context(_child(context, "relay", engine["url"], uvloop=bool(mark)))
            client.ask(
                do="way", name=f"floor-relay{mark}", **{**engine, **json.loads(relay.hear())}
            )
            ways += [f"floor-relay{mark}", f"gateway{mark}"]
        assert client is not None
        for number in range(context.rounds + 1):
            context.say(f"local: prepared streams, round {number} of {context.rounds}")
            for kind, (short, long, at_once) in kinds.items():
                for way in ways[1:]:
                    pair = [
                        client.ask(do="stream", way=way, at_once=at_once, tokens=1, user=user)
                        for user in (short, long)
                    ]
                    if number:
                        found[kind].setdefault(way, []).append(_between(*pair))
            timed = client.ask(do="firsts", ways=ways, times=FIRSTS, tokens=1, user="burst-8")
            if number:
                _keep(firsts, timed)
    figures: list[Figure] = []
    for kind, readings in found.items():
        figures += _chunks(f"CPU for a chunk, {kind}", readings)
    return [*figures, *_first_tokens("first token, prepared engine", firsts, goal=2.0)]


def _real(context: Context, folder: str) -> list[Figure]:
    cold: list[dict[str, float]] = []
    warm: list[dict[str, float]] = []
    there: list[dict[str, float]] = []
    found: dict[int, Readings] = {1: {}, 4: {}}
    firsts: dict[str, list[float]] = {}
    with ExitStack() as stack:
        context.say("local: starting an engine by itself (the first time fetches its model)")
        engine_process = stack.enter_context(
            _child(context, "platform", "engine", f"{folder}-engine")
        )
        said: dict[str, Any] = json.loads(engine_process.hear())
        engine: dict[str, Any] = {**said, "hangs_up": True}
        for number in range(COLD):
            with _Platform(context, f"{folder}-{number}") as client:
                context.say(f"local: cold start {number + 1} of {COLD}")
                cold.append(client.ask(do="ensure", slug="text-0"))
        run = _Platform(context, f"{folder}-warm")
        client = stack.enter_context(run)
        client.ask(do="ensure", slug="text-0")
        for number in range(context.rounds):
            context.say(f"local: warm start {number + 1} of {context.rounds}")
            warm.append(client.ask(do="ensure", slug=f"text-{number + 1}"))
            there.append(client.ask(do="ensure", slug="text-0"))
        client.ask(do="way", name="direct", **engine)
        client.ask(do="way", name="gateway", **run.way("text-0"))
        run = _Platform(context, f"{folder}-uvloop", uvloop=True)
        stack.enter_context(run).ask(do="ensure", slug="text-0")
        client.ask(do="way", name="gateway+uvloop", **run.way("text-0"))
        for mark in ("", "+uvloop"):
            relay = stack.enter_context(_child(context, "relay", engine["url"], uvloop=bool(mark)))
            client.ask(
                do="way", name=f"floor-relay{mark}", **{**engine, **json.loads(relay.hear())}
            )
        for number in range(context.rounds + 1):
            context.say(f"local: streams, round {number} of {context.rounds}")
            for at_once, readings in found.items():
                for way in ("floor-relay", "gateway", "floor-relay+uvloop", "gateway+uvloop"):
                    pair = [
                        client.ask(do="stream", way=way, at_once=at_once, tokens=n, user="-")
                        for n in (8, 104)
                    ]
                    if number:
                        readings.setdefault(way, []).append(_between(*pair))
            # One token: what follows the first would be computed while the next is asked for.
            timed = client.ask(
                do="firsts", ways=["direct", "gateway"], times=REAL_FIRSTS, tokens=1, user="-"
            )
            if number:
                _keep(firsts, timed)
    who, ms = "ours-async", 1e3
    return [
        compared(
            "ensure to first token, engine not running",
            who,
            "ms",
            [one["first"] * ms for one in cold],
        ),
        compared("  of it until ready", who, "ms", [one["ready"] * ms for one in cold]),
        compared(
            "ensure to first token, engine running", who, "ms", [one["first"] * ms for one in warm]
        ),
        compared("  of it until ready", who, "ms", [one["ready"] * ms for one in warm]),
        compared(
            "ensure to first token, workload ready", who, "ms", [one["first"] * ms for one in there]
        ),
        compared("  of it the ensure", who, "ms", [one["ensured"] * ms for one in there]),
        *_first_tokens("first token, real engine", firsts, goal=2.0),
        *_chunks("CPU for a chunk, real engine, one stream", found[1]),
        *_chunks("CPU for a chunk, real engine, 4 streams", found[4]),
    ]


def _between(short: dict[str, float], long: dict[str, float]) -> dict[str, float]:
    return {"us": (long["cpu"] - short["cpu"]) / (long["events"] - short["events"]) * 1e6}


def _keep(all_of_them: dict[str, list[float]], timed: dict[str, Any]) -> None:
    for way, values in cast("dict[str, list[float]]", timed).items():
        all_of_them.setdefault(way, []).extend(value * 1e3 for value in values)


def _chunks(what: str, readings: Readings) -> Iterable[Figure]:
    """The floors, and the gateways with what they are in them."""
    by_way = {way: [one["us"] for one in ones] for way, ones in readings.items()}
    for way, values in by_way.items():
        if way.startswith("floor"):
            yield compared(what, way, "µs", values)
            continue
        floor = by_way[way.replace("gateway", "floor-relay")]
        yield compared(what, way, "µs", values, floor, than="floor-relay", goal=60.0, absolute=True)


def _first_tokens(what: str, firsts: dict[str, list[float]], goal: float) -> Iterable[Figure]:
    for way, values in firsts.items():
        yield compared(what, way, "ms", values)
        if way != "direct":
            added = [mine - theirs for mine, theirs in zip(values, firsts["direct"], strict=True)]
            yield compared(
                "  what it adds", way, "ms", added, goal=goal if way.startswith("gateway") else None
            )


def _command(context: Context) -> str:
    """The prepared engine as a workload's own program. Its environment is the platform's, less what is not for programs."""
    told = {launch.UVLOOP: "1"}
    words = launched(context.python["own"], "prepared_engine", "--port", "{port}")
    return " ".join([*(f"{name}={value}" for name, value in told.items()), shlex.join(words)])


class _Client(Lines):
    def ask(self, **order: Any) -> dict[str, Any]:
        self.say(json.dumps(order))
        said: dict[str, Any] = json.loads(self.hear())
        return said


class _Platform:
    """A platform in a fresh folder, and a client of it."""

    def __init__(self, context: Context, folder: str, *, uvloop: bool = False) -> None:
        self._context = context
        self._folder = folder
        self._uvloop = uvloop
        self._said: dict[str, Any] = {}
        self._stack = ExitStack()

    def way(self, slug: str) -> dict[str, Any]:
        """Return the way to a workload, once the platform runs."""
        url = f"{self._said['url']}/endpoint/bench/{slug}"
        return {
            "url": url,
            "api_key": self._said["api_key"],
            "model": slug,
            "pid": self._said["pid"],
        }

    def __enter__(self) -> _Client:
        Path(self._folder).mkdir()
        platform = self._stack.enter_context(
            _child(self._context, "platform", "up", self._folder, uvloop=self._uvloop)
        )
        self._said = json.loads(platform.hear())
        command = launched(self._context.python["own"], "local_client")
        client = self._stack.enter_context(
            _Client("local client", command, _variables(uvloop=False))
        )
        client.say(json.dumps(self._said))
        return client

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _child(context: Context, name: str, *arguments: str, uvloop: bool = False) -> Lines:
    return Lines(name, launched(context.python["own"], name, *arguments), _variables(uvloop=uvloop))


def _variables(*, uvloop: bool) -> dict[str, str]:
    return environment(CLIENTS["ours-async+uvloop" if uvloop else "ours-async"])
