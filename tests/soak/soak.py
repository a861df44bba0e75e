"""Random faults for ten minutes: ``nox -s soak``.

200 tasks on one AsyncDataClient and 16 threads on one DataClient call a server in a process of its
own. The server resets connections, stalls, sends wrong lengths and single bytes. The callers read,
read slowly, and leave in every way there is. The run is divided into rounds. After each round, when
no call runs, the process is measured. The soak passes (exit code 0) if

* every call ended in time, either complete or with an error of this package that its fault may
  cause;
* every complete text was the one that the server intended to send, and every broken stream
  delivered what had arrived and raised an error;
* no request was sent again after its response had begun, and every retry had its call's
  Idempotency-Key;
* the server noticed within a second (99th percentile) when a caller left an endless response;
* no stream or response object was alive between the rounds, and no descriptor, task, thread or
  connection was left at the end;
* memory did not grow with the number of calls: see ``BOUNDS``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Coroutine
from typing import Any

import aiohttp

from inferencekey import AsyncDataClient, DataClient, RetryPolicy, _bridge
from soak.callers import AsyncCaller, SyncCaller
from soak.ledger import PATIENCE, Ledger, percentile
from soak.process import Sample, growth, take_sample

__all__: list[str] = []

KEY = "ik_live_" + "0" * 8 + "_" + "0" * 64
RETRY = RetryPolicy(base=0.05, cap=0.3)

# By resource: how much each call may leave behind on average, over the rounds after the first
# third, and how much growth in total is noise. The number of pooled connections varies, and the C
# library keeps freed memory in fragments.
BOUNDS = {
    "blocks": (0.2, 5_000),
    "objects": (0.1, 3_000),
    "heap": (20.0, 1 << 20),
    "rss": (150.0, 64 << 20),
}

CLOSED_WITHIN = 1.0
"""Seconds within which the server notices that a caller left, at the 99th percentile."""

LAG = 1.0
"""Seconds that a slow event loop may add to that."""


class FaultyServer:
    """The server's process, and the thread that reads its reports."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stats: dict[str, Any] = {}
        self._stats_arrived = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "soak.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{json.loads(self._process.stdout.readline())['port']}"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "gone" in message:
                self._ledger.server_noticed(message["gone"], message["at"])
            elif "violation" in message:
                self._ledger.fail(message["violation"])
            else:
                self._stats = message
                self._stats_arrived.set()

    async def stats(self) -> dict[str, Any]:
        """Return the server's counters."""
        assert self._process.stdin is not None
        self._stats_arrived.clear()
        self._process.stdin.write("stats\n")
        self._process.stdin.flush()
        until = time.monotonic() + 10
        while not self._stats_arrived.is_set():
            if time.monotonic() > until:
                raise RuntimeError("the soak's server did not send its counters within 10 s")
            await asyncio.sleep(0.01)
        return self._stats

    async def wait_until_none(self, what: str, within: float) -> Any:
        """Wait until the counter *what* is empty or zero, and return its last value."""
        until = time.monotonic() + within
        while (left := (await self.stats())[what]) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return left

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._thread.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Soak:
    """One run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.ledger = Ledger()
        self.samples: list[Sample] = []
        self.lag = 0.0
        self._began = time.monotonic()
        self._last_line = 0.0

    async def run(self) -> dict[str, Any]:
        """Run all rounds; return the figures."""
        self._watch()
        server = FaultyServer(self.ledger)
        _bridge.run(_catch_on_this_loop, self.ledger)
        ticking = asyncio.create_task(self._tick())
        # aiodns, if it is installed, starts a thread when its first resolver is closed, and keeps
        # it.
        async with aiohttp.ClientSession():
            pass
        before = take_sample(0)
        asynchronous = AsyncDataClient(
            base_url=server.url, project="acme", api_key=KEY, retry=RETRY
        )
        sync = DataClient(base_url=server.url, project="acme", api_key=KEY, retry=RETRY)
        rounds = max(3, self.options.seconds // 30)
        first: tracemalloc.Snapshot | None = None
        for number in range(rounds):
            await self._round(number, self.options.seconds / rounds, asynchronous, sync)
            if left := await server.wait_until_none("responding", 5):
                self.ledger.fail(f"the server still responds to calls that have ended: {left[:10]}")
            await asyncio.sleep(0.1)
            self.ledger.forget_departures()
            self.samples.append(take_sample(self.ledger.calls))
            if self.samples[-1].alive:
                self.ledger.fail(f"alive although no call runs: {self.samples[-1].alive}")
            if self.options.tracemalloc:
                first = self._compare(first)
        await asynchronous.aclose()
        await asyncio.to_thread(sync.close)
        await asyncio.get_running_loop().shutdown_default_executor()
        if left := await server.wait_until_none("open", 5):
            self.ledger.fail(f"{left} connections are still open")
        after = take_sample(self.ledger.calls)
        for what in ("descriptors", "threads", "tasks"):
            if getattr(after, what) > getattr(before, what):
                self.ledger.fail(
                    f"{what}: {getattr(before, what)} before, {getattr(after, what)} after"
                )
        requests = (await server.stats())["requests"]
        ticking.cancel()
        server.stop()
        return self._figures(before, after, requests)

    async def _round(
        self, number: int, seconds: float, asynchronous: AsyncDataClient, sync: DataClient
    ) -> None:
        until = time.monotonic() + seconds
        seed = self.options.seed
        endpoint, sync_endpoint = asynchronous.endpoint("bot"), sync.endpoint("bot")
        threads = [
            threading.Thread(
                target=SyncCaller(f"t{number}-{n}", seed, self.ledger).run,
                args=(sync_endpoint, until),
            )
            for n in range(self.options.threads)
        ]
        for thread in threads:
            thread.daemon = True
            thread.start()
        tasks = [
            asyncio.create_task(
                AsyncCaller(f"a{number}-{n}", seed, self.ledger).run(endpoint, until)
            )
            for n in range(self.options.streams)
        ]
        await asyncio.wait(tasks, timeout=seconds + PATIENCE)
        while any(thread.is_alive() for thread in threads):
            if time.monotonic() > until + PATIENCE:
                break
            await asyncio.sleep(0.05)
        for call in self.ledger.overdue():
            self.ledger.fail(f"hangs: {call}")
        if any(not task.done() for task in tasks) or any(thread.is_alive() for thread in threads):
            self.ledger.fail("some callers never ended")
            for task in tasks:
                task.cancel()
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                self.ledger.fail(f"the soak itself failed: {error!r}")

    def _watch(self) -> None:
        """Record unhandled exceptions as failures."""
        ledger = self.ledger
        sys.unraisablehook = lambda hook: ledger.fail(
            f"unraisable: {hook.exc_value!r} in {hook.object!r}"
        )
        threading.excepthook = lambda hook: ledger.fail(f"in {hook.thread}: {hook.exc_value!r}")
        _catch(asyncio.get_running_loop(), ledger)

    async def _tick(self) -> None:
        """Measure how late the loop is, and print progress."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.05)
            self.lag = max(self.lag, time.monotonic() - began - 0.05)
            live = sys.stderr.isatty()
            if time.monotonic() - self._last_line > (0.5 if live else 5.0):
                self._last_line = time.monotonic()
                ledger = self.ledger
                rss = f"{self.samples[-1].rss >> 20} MB" if self.samples else "-"
                line = (
                    f"{time.monotonic() - self._began:5.0f} s  "
                    f"{ledger.calls} calls, {ledger.running} running, "
                    f"{ledger.outcomes['whole']} whole, {ledger.outcomes['left']} left, "
                    f"{ledger.failed} failures, memory {rss}, longest lag {self.lag * 1000:.0f} ms"
                )
                print(
                    f"\r{line}\x1b[K" if live else line,
                    end="" if live else "\n",
                    file=sys.stderr,
                    flush=True,
                )

    def _compare(self, first: tracemalloc.Snapshot | None) -> tracemalloc.Snapshot:
        now = tracemalloc.take_snapshot()
        if first is None:
            return now
        for difference in now.compare_to(first, "lineno")[:15]:
            print(difference, file=sys.stderr)
        return first

    def _figures(self, before: Sample, after: Sample, requests: int) -> dict[str, Any]:
        ledger = self.ledger
        steady = self.samples[len(self.samples) // 3 :]
        slopes: dict[str, float] = {}
        for what, (per_call, noise) in BOUNDS.items():
            slope = slopes[what] = growth([(s.calls, getattr(s, what)) for s in steady])
            grown = slope * (steady[-1].calls - steady[0].calls)
            if slope > per_call and grown > noise:
                ledger.fail(
                    f"{what} grow by {slope:.3g} a call ({grown:.0f} in total), "
                    f"more than {per_call:g}"
                )
        if percentile(ledger.closed_after, 0.99) > CLOSED_WITHIN + min(self.lag, LAG):
            ledger.fail(
                "connections are closed up to "
                f"{percentile(ledger.closed_after, 0.99):.2f} s after their caller left"
            )
        accounted = sum(ledger.outcomes.values())
        if accounted != ledger.calls:
            ledger.fail(f"{ledger.calls - accounted} calls are not accounted for")
        return {
            "passed": not ledger.failed,
            "seconds": round(time.monotonic() - self._began, 1),
            "seed": self.options.seed,
            "streams": self.options.streams,
            "threads": self.options.threads,
            "calls": ledger.calls,
            "requests": requests,
            "outcomes": dict(ledger.outcomes.most_common()),
            "ways": dict(ledger.ways.most_common()),
            "faults": dict(ledger.faults.most_common()),
            "closed_after_ms": {
                "count": len(ledger.closed_after),
                **{
                    f"p{round(s * 100)}": round(percentile(ledger.closed_after, s) * 1000, 1)
                    for s in (0.5, 0.99, 1)
                },
            },
            "timeouts_late_ms": {
                "count": len(ledger.late_by),
                **{
                    f"p{round(s * 100)}": round(percentile(ledger.late_by, s) * 1000, 1)
                    for s in (0.5, 0.99, 1)
                },
            },
            "growth_per_call": {what: round(slope, 4) for what, slope in slopes.items()},
            "growth_bounds": {what: bound for what, (bound, _) in BOUNDS.items()},
            "before": before.as_dict(),
            "rounds": [sample.as_dict() for sample in self.samples],
            "after": after.as_dict(),
            "longest_lag_ms": round(self.lag * 1000, 1),
            "failed": ledger.failed,
            "failures": ledger.failures,
        }


async def _catch_on_this_loop(ledger: Ledger) -> None:
    _catch(asyncio.get_running_loop(), ledger)


def _catch(loop: asyncio.AbstractEventLoop, ledger: Ledger) -> None:
    loop.set_exception_handler(
        lambda _, context: ledger.fail(
            f"the loop: {context.get('message')} {context.get('exception')!r}"
        )
    )


def _report(figures: dict[str, Any]) -> str:
    closed, late = figures["closed_after_ms"], figures["timeouts_late_ms"]
    growth_ = ", ".join(
        f"{what} {slope:g} (at most {figures['growth_bounds'][what]:g})"
        for what, slope in figures["growth_per_call"].items()
    )
    first, after = figures["before"], figures["after"]
    outcomes = ", ".join(f"{count} {name}" for name, count in figures["outcomes"].items())
    memory = " ".join(str(sample["rss"] >> 20) for sample in figures["rounds"])
    lines = [
        f"{figures['calls']} calls in {figures['seconds']:.0f} s, {figures['requests']} requests, "
        f"seed {figures['seed']}",
        f"ended: {outcomes}",
        f"upstream closed after the caller left: {closed['p50']} ms, p99 {closed['p99']} ms, "
        f"of {closed['count']}",
        f"deadlines exceeded by: {late['p50']} ms, p99 {late['p99']} ms, of {late['count']}",
        f"growth per call: {growth_}",
        f"resident memory after each round, MB: {memory}",
        *(
            f"{what}: {first[what]} before, {after[what]} after"
            for what in ("descriptors", "threads", "tasks")
        ),
        *figures["failures"],
        "passed" if figures["passed"] else f"FAILED: {figures['failed']} failures",
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="soak", description="Makes calls under random faults and checks every outcome."
    )
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument(
        "--streams", type=int, default=200, help="tasks on the async client (default: 200)"
    )
    parser.add_argument(
        "--threads", type=int, default=16, help="threads on the sync client (default: 16)"
    )
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="repeats the calls of an earlier run"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--tracemalloc",
        action="store_true",
        help="print the lines that allocated the growth; much slower",
    )
    options = parser.parse_args(arguments)
    if options.tracemalloc:
        tracemalloc.start(5)
    running: Coroutine[Any, Any, dict[str, Any]] = Soak(options).run()
    figures = asyncio.run(running)
    print(json.dumps(figures, indent=1) if options.json else _report(figures))
    return 0 if figures["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
