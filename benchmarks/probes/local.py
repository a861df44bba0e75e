"""The local platform: the cost of its gateway, and the time from ``ensure`` to the first token.

The gateway's CPU time for a chunk is that of the platform's process for a long stream, minus that
for a short stream, divided by the difference in events. It is measured with an engine that computes
nothing, so that no other process uses the processors, and with the real engine. The baseline is
``floor-relay``: a process that copies bytes from socket to socket.

What the gateway adds to the first token is the difference from direct calls of the same engine.
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
from benchmarks.probes.figures import Context, Figure, make_figure
from benchmarks.processes import LineProcess, environment, launch_command

COLD: Final = 3
FIRST_TOKENS: Final = 25
"""How many short streams each route has in a round, to measure the first token."""
REAL_FIRST_TOKENS: Final = 6
"""The same for the real engine, which needs 30 ms for each."""

Readings = dict[str, list[dict[str, float]]]


def measure_gateway(context: Context) -> list[Figure]:
    """Return the cost of the gateway without an engine's work; without uvloop and with it."""
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
    routes = ["direct"]
    kinds = {"paced": ("paced-8", "paced-104", 1), "4 paced": ("paced-8", "paced-104", 4)}
    kinds["in bursts"] = ("burst-8", "burst-1032", 1)
    found: dict[str, Readings] = {kind: {} for kind in kinds}
    first_tokens: dict[str, list[float]] = {}
    with ExitStack() as stack:
        context.progress("local: starting platforms with an engine that computes nothing")
        client: _Client | None = None
        for mark in ("", "+uvloop"):
            run = _Platform(context, f"{folder}{mark}", uvloop=bool(mark))
            other = stack.enter_context(run)
            other.ask(do="ensure", slug="prepared", command=_command(context))
            client = client or other
            client.ask(do="route", name=f"gateway{mark}", **run.route("prepared"))
            port = client.ask(do="port", route=f"gateway{mark}")["port"]
            engine = {"url": f"http://127.0.0.1:{port}", "api_key": "-", "model": "-"}
            if not mark:
                client.ask(do="route", name="direct", **engine)
            relay = stack.enter_context(_child(context, "relay", engine["url"], uvloop=bool(mark)))
            client.ask(
                do="route", name=f"floor-relay{mark}", **{**engine, **json.loads(relay.receive())}
            )
            routes += [f"floor-relay{mark}", f"gateway{mark}"]
        assert client is not None
        for number in range(context.rounds + 1):
            context.progress(f"local: prepared streams, round {number} of {context.rounds}")
            for kind, (short, long, concurrency) in kinds.items():
                for route in routes[1:]:
                    pair = [
                        client.ask(
                            do="stream", route=route, concurrency=concurrency, tokens=1, user=user
                        )
                        for user in (short, long)
                    ]
                    if number:
                        found[kind].setdefault(route, []).append(_between(*pair))
            timed = client.ask(
                do="first_tokens", routes=routes, times=FIRST_TOKENS, tokens=1, user="burst-8"
            )
            if number:
                _keep(first_tokens, timed)
    figures: list[Figure] = []
    for kind, readings in found.items():
        figures += _chunks(f"CPU for a chunk, {kind}", readings)
    return [*figures, *_first_tokens("first token, prepared engine", first_tokens, goal=2.0)]


def _real(context: Context, folder: str) -> list[Figure]:
    cold: list[dict[str, float]] = []
    warm: list[dict[str, float]] = []
    there: list[dict[str, float]] = []
    found: dict[int, Readings] = {1: {}, 4: {}}
    first_tokens: dict[str, list[float]] = {}
    with ExitStack() as stack:
        context.progress("local: starting an engine (the first start downloads its model)")
        engine_process = stack.enter_context(
            _child(context, "platform", "engine", f"{folder}-engine")
        )
        result: dict[str, Any] = json.loads(engine_process.receive())
        engine: dict[str, Any] = {**result, "closes_idle": True}
        for number in range(COLD):
            with _Platform(context, f"{folder}-{number}") as client:
                context.progress(f"local: cold start {number + 1} of {COLD}")
                cold.append(client.ask(do="ensure", slug="text-0"))
        run = _Platform(context, f"{folder}-warm")
        client = stack.enter_context(run)
        client.ask(do="ensure", slug="text-0")
        for number in range(context.rounds):
            context.progress(f"local: warm start {number + 1} of {context.rounds}")
            warm.append(client.ask(do="ensure", slug=f"text-{number + 1}"))
            there.append(client.ask(do="ensure", slug="text-0"))
        client.ask(do="route", name="direct", **engine)
        client.ask(do="route", name="gateway", **run.route("text-0"))
        run = _Platform(context, f"{folder}-uvloop", uvloop=True)
        stack.enter_context(run).ask(do="ensure", slug="text-0")
        client.ask(do="route", name="gateway+uvloop", **run.route("text-0"))
        for mark in ("", "+uvloop"):
            relay = stack.enter_context(_child(context, "relay", engine["url"], uvloop=bool(mark)))
            client.ask(
                do="route", name=f"floor-relay{mark}", **{**engine, **json.loads(relay.receive())}
            )
        for number in range(context.rounds + 1):
            context.progress(f"local: streams, round {number} of {context.rounds}")
            for concurrency, readings in found.items():
                for route in ("floor-relay", "gateway", "floor-relay+uvloop", "gateway+uvloop"):
                    pair = [
                        client.ask(
                            do="stream", route=route, concurrency=concurrency, tokens=n, user="-"
                        )
                        for n in (8, 104)
                    ]
                    if number:
                        readings.setdefault(route, []).append(_between(*pair))
            # One token: the engine would compute further ones during the next request.
            timed = client.ask(
                do="first_tokens",
                routes=["direct", "gateway"],
                times=REAL_FIRST_TOKENS,
                tokens=1,
                user="-",
            )
            if number:
                _keep(first_tokens, timed)
    subject, ms = "ours-async", 1e3
    return [
        make_figure(
            "ensure to first token, engine not running",
            subject,
            "ms",
            [one["first"] * ms for one in cold],
        ),
        make_figure("  of it until ready", subject, "ms", [one["ready"] * ms for one in cold]),
        make_figure(
            "ensure to first token, engine running",
            subject,
            "ms",
            [one["first"] * ms for one in warm],
        ),
        make_figure("  of it until ready", subject, "ms", [one["ready"] * ms for one in warm]),
        make_figure(
            "ensure to first token, workload ready",
            subject,
            "ms",
            [one["first"] * ms for one in there],
        ),
        make_figure("  of it the ensure", subject, "ms", [one["ensured"] * ms for one in there]),
        *_first_tokens("first token, real engine", first_tokens, goal=2.0),
        *_chunks("CPU for a chunk, real engine, one stream", found[1]),
        *_chunks("CPU for a chunk, real engine, 4 streams", found[4]),
    ]


def _between(short: dict[str, float], long: dict[str, float]) -> dict[str, float]:
    return {"us": (long["cpu"] - short["cpu"]) / (long["events"] - short["events"]) * 1e6}


def _keep(all_of_them: dict[str, list[float]], timed: dict[str, Any]) -> None:
    for route, values in cast("dict[str, list[float]]", timed).items():
        all_of_them.setdefault(route, []).extend(value * 1e3 for value in values)


def _chunks(what: str, readings: Readings) -> Iterable[Figure]:
    """The figures of the relays, and those of the gateways with their ratios to the relays."""
    by_route = {route: [one["us"] for one in ones] for route, ones in readings.items()}
    for route, values in by_route.items():
        if route.startswith("floor"):
            yield make_figure(what, route, "µs", values)
            continue
        floor = by_route[route.replace("gateway", "floor-relay")]
        yield make_figure(
            what, route, "µs", values, floor, than="floor-relay", goal=60.0, absolute=True
        )


def _first_tokens(what: str, first_tokens: dict[str, list[float]], goal: float) -> Iterable[Figure]:
    for route, values in first_tokens.items():
        yield make_figure(what, route, "ms", values)
        if route != "direct":
            added = [
                mine - theirs for mine, theirs in zip(values, first_tokens["direct"], strict=True)
            ]
            yield make_figure(
                "  what it adds",
                route,
                "ms",
                added,
                goal=goal if route.startswith("gateway") else None,
            )


def _command(context: Context) -> str:
    """Return the command of a workload that runs the prepared engine.

    It sets the variable itself: the platform does not pass its whole environment to programs.
    """
    variables = {launch.UVLOOP: "1"}
    words = launch_command(context.python["own"], "prepared_engine", "--port", "{port}")
    return " ".join([*(f"{name}={value}" for name, value in variables.items()), shlex.join(words)])


class _Client(LineProcess):
    def ask(self, **order: Any) -> dict[str, Any]:
        self.send(json.dumps(order))
        result: dict[str, Any] = json.loads(self.receive())
        return result


class _Platform:
    """A platform in an empty folder, and a client of it."""

    def __init__(self, context: Context, folder: str, *, uvloop: bool = False) -> None:
        self._context = context
        self._folder = folder
        self._uvloop = uvloop
        self._result: dict[str, Any] = {}
        self._stack = ExitStack()

    def route(self, slug: str) -> dict[str, Any]:
        """Return the route to a workload of the running platform."""
        url = f"{self._result['url']}/endpoint/bench/{slug}"
        return {
            "url": url,
            "api_key": self._result["api_key"],
            "model": slug,
            "pid": self._result["pid"],
        }

    def __enter__(self) -> _Client:
        Path(self._folder).mkdir()
        platform = self._stack.enter_context(
            _child(self._context, "platform", "up", self._folder, uvloop=self._uvloop)
        )
        self._result = json.loads(platform.receive())
        command = launch_command(self._context.python["own"], "local_client")
        client = self._stack.enter_context(
            _Client("local client", command, _variables(uvloop=False))
        )
        client.send(json.dumps(self._result))
        return client

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _child(context: Context, name: str, *arguments: str, uvloop: bool = False) -> LineProcess:
    return LineProcess(
        name, launch_command(context.python["own"], name, *arguments), _variables(uvloop=uvloop)
    )


def _variables(*, uvloop: bool) -> dict[str, str]:
    return environment(CLIENTS["ours-async+uvloop" if uvloop else "ours-async"])
