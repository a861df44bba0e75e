"""The server of the soak, a process of its own: ``python -m soak.server``.

It executes the plan that each request contains, and checks the client: a retry has the key of its
call, no request is sent again after its response has begun, and a caller that leaves closes the
connection.

Every event is one line of JSON on its output. The line ``stats`` on its input requests the
counters. The process ends when its input ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import json
import random
import sys
import termios
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from faults import Connection, Request, chunk, head, json_response, sse_head
from faults.server import _read_request

from soak.plans import REFUSALS, Plan

__all__: list[str] = []

FOREVER = 60.0
"""Seconds; far longer than every deadline of a caller."""

IDLE_ROUND = 1.5
"""Seconds between two rounds of closing idle connections."""


class Call:
    """What the server stores of one call, to recognise its retries."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.attempts = 0
        self.begun = False


class Server:
    """Responds according to the plan of each request."""

    def __init__(self) -> None:
        self.calls: OrderedDict[str, Call] = OrderedDict()
        self.requests = 0
        self.responding: dict[int, str] = {}
        self.idle: dict[int, Connection] = {}
        self.open = 0
        self._number = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._number += 1
        connection = Connection(reader, writer, self._number)
        self.open += 1
        try:
            while not writer.is_closing():
                self.idle[connection.number] = connection
                request = await _read_request(reader)
                self.idle.pop(connection.number, None)
                if request is None:
                    return
                self.requests += 1
                connection.served += 1
                await self._respond(connection, request)
        except (OSError, asyncio.IncompleteReadError):
            pass
        except Exception as error:
            report(violation=f"the soak's server failed: {error!r}")
        finally:
            self.idle.pop(connection.number, None)
            self.open -= 1
            writer.close()

    async def _respond(self, connection: Connection, request: Request) -> None:
        body = request.json
        plan = Plan.of(body["soak"])
        call = self._remember(plan, request)
        self.responding[connection.number] = plan.call
        try:
            if request.path.endswith("/embeddings"):
                responder: Responder = UnaryResponder(connection, plan, call, embedding(plan))
            elif body.get("stream"):
                responder = StreamResponder(connection, plan, call)
            else:
                responder = UnaryResponder(connection, plan, call, completion(plan))
            await responder.run()
        finally:
            del self.responding[connection.number]

    def _remember(self, plan: Plan, request: Request) -> Call:
        key = request.headers.get("idempotency-key", "")
        call = self.calls.get(plan.call)
        if call is None:
            call = self.calls[plan.call] = Call(key)
            if len(self.calls) > 5000:
                self.calls.popitem(last=False)
        call.attempts += 1
        if call.key != key or not key:
            report(violation=f"{plan.call}: attempt {call.attempts} has another Idempotency-Key")
        if call.begun:
            report(violation=f"{plan.call} ({plan.fault}): sent again after its response had begun")
        return call

    async def close_idle(self) -> None:
        """Close some idle connections from time to time, as load balancers do."""
        rng = random.Random(1)  # noqa: S311
        while True:
            await asyncio.sleep(IDLE_ROUND)
            for connection in list(self.idle.values()):
                if connection.served and rng.random() < 0.5:
                    if rng.random() < 0.3 and _has_arrived(connection):
                        connection.reset()
                    else:
                        connection.close()


async def reset_when_received(connection: Connection) -> None:
    """Reset a connection after everything that was sent has been received.

    A reset discards data that has not been received yet.
    """
    until = time.monotonic() + 5
    while not connection.writer.is_closing() and time.monotonic() < until:
        if _has_arrived(connection):
            connection.reset()
            return
        await asyncio.sleep(0.005)
    connection.close()


def _has_arrived(connection: Connection) -> bool:
    """Return whether the peer's kernel has received everything."""
    writer = connection.writer
    if sys.platform != "linux" or writer.transport.get_write_buffer_size():
        return not writer.transport.get_write_buffer_size()
    pending = fcntl.ioctl(writer.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return pending == bytes(4)


class Responder:
    """What streams and whole responses share."""

    def __init__(self, connection: Connection, plan: Plan, call: Call) -> None:
        self.connection = connection
        self.plan = plan
        self.call = call
        self.rng = plan.rng(f"pace {call.attempts}")
        self.pause = self.rng.choice((0.0, 0.01, 0.03, 0.06))

    async def run(self) -> None:
        connection, plan, rng = self.connection, self.plan, self.rng
        if rng.random() < 0.3:
            await asyncio.sleep(rng.random() * 0.4)
        fails = self.call.attempts <= plan.rng("attempts").randint(1, 3)
        match plan.fault:
            case "busy" if fails:
                after = rng.choice(
                    ({"Retry_After": "0"}, {"retry_after_ms": "40"}, {"Retry_After": "0.1"}, {})
                )
                await connection.send(json_response({"error": {"message": "busy"}}, 503, **after))
            case "limited" if fails:
                await connection.send(
                    json_response({"error": "slow_down"}, 429, retry_after_ms="30")
                )
            case "bad_gateway" if fails:
                page = (
                    b"<html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"
                )
                await connection.send(
                    head(502, content_type="text/html", content_length=str(len(page))) + page
                )
                connection.close()
            case "hangs_up" if fails:
                connection.close()
            case "resets" if fails:
                connection.reset()
            case "refused":
                status = plan.rng("refused").choice(list(REFUSALS))
                await connection.send(
                    json_response({"error": {"message": "no", "code": "no"}}, status)
                )
            case "error_page":
                await connection.send(
                    head(500, content_type="text/plain", content_length=str(1 << 21))
                )
                await connection.send(*[b"words " * 10_000] * 30)
                await connection.until_gone()
            case "not_http":
                await connection.send(b"SSH-2.0-OpenSSH_9.7\r\n\r\n")
                connection.close()
            case "silent":
                await connection.until_gone(FOREVER)
            case _:
                await self.respond()

    def mark_begun(self) -> None:
        self.call.begun = True

    async def respond(self) -> None:
        raise NotImplementedError

    async def finish(self) -> None:
        """After a good response: close the connection if the plan requires it."""
        if self.plan.fault == "dies_idle":
            await asyncio.sleep(self.rng.random() * 0.3)
            await self._end_connection()

    async def _end_connection(self) -> None:
        if self.rng.random() < 0.5:
            await reset_when_received(self.connection)
        else:
            self.connection.close()


class StreamResponder(Responder):
    """Sends a chat stream."""

    async def respond(self) -> None:
        plan, connection = self.plan, self.connection
        rest = getattr(self, "_" + plan.fault, None)
        if rest is not None:
            await rest()
            return
        self.mark_begun()
        pieces = plan.pieces
        match plan.fault:
            case "dribble":
                data = b"".join([sse_head(), *map(chunk, self.events()), chunk(b"")])
                step = max(1, len(data) // 400)
                for start in range(0, len(data), step):
                    await connection.send(data[start : start + step], pause=0.001)
            case "one_write":
                await connection.send(
                    b"".join([sse_head(), *map(chunk, self.events()), chunk(b"")])
                )
            case "spare_response":
                # Some proxies send an unrequested response before they close an idle connection.
                whole = b"".join([sse_head(), *map(chunk, self.events()), chunk(b"")])
                await connection.send(whole + json_response({"error": "idle for too long"}, 408))
                connection.close()
            case "until_close":
                await connection.send(
                    head(200, content_type="text/event-stream", connection="close")
                )
                await connection.send(*self.events(), pause=self.pause)
                connection.close()
            case "gzip":
                packed = zlib.compressobj(wbits=31)
                await connection.send(sse_head(content_encoding="gzip"))
                for event in self.events():
                    await connection.send(
                        chunk(packed.compress(event) + packed.flush(zlib.Z_SYNC_FLUSH))
                    )
                await connection.send(chunk(packed.flush()), chunk(b""))
            case _:
                await connection.send(sse_head())
                await connection.send(*map(chunk, self.events(len(pieces))), pause=self.pause)
                await connection.send(chunk(b""))
        await self.finish()

    def events(
        self, count: int | None = None, *, finish: str | None = "stop", done: bool = True
    ) -> list[bytes]:
        found: list[dict[str, Any]] = [
            {"delta": {"content": text}} for text in self.plan.pieces[:count]
        ]
        if finish:
            found.append({"delta": {}, "finish_reason": finish})
        lines = [data({"choices": [{"index": 0, **choice}], "model": "m"}) for choice in found]
        return [*lines, b"data: [DONE]\n\n"] if done else lines

    async def send_beginning(self, **headers: str) -> None:
        """Send the head, and the pieces before the cut."""
        self.mark_begun()
        await self.connection.send(sse_head(**headers))
        sent = self.events(self.plan.cut, finish=None, done=False)
        await self.connection.send(*map(chunk, sent), pause=self.pause)

    async def _odd(self) -> None:
        self.mark_begun()
        rng, connection = self.rng, self.connection
        end = rng.choice((b"\n", b"\r\n", b"\r"))
        lines = []
        for event in self.events():
            lines.append(
                rng.choice((b": keep-alive\n\n", b"", b"event: message\nid: 7\nretry: 10\n"))
                + event
            )
            if rng.random() < 0.2:
                odd = rng.choice(
                    (
                        {"choices": []},
                        {"choices": None},
                        {"choices": [{"delta": {"role": "assistant"}}]},
                    )
                )
                lines.insert(-1, data(odd))
        whole = (b"\xef\xbb\xbf" if rng.random() < 0.5 else b"") + b"".join(lines).replace(
            b"\n", end
        )
        await connection.send(sse_head())
        place = 0
        while place < len(whole):
            step = rng.randint(1, 400) if len(whole) < 20_000 else 50_000
            await connection.send(chunk(whole[place : place + step]), pause=self.pause / 10)
            place += step
        await connection.send(chunk(b""))

    async def _no_done(self) -> None:
        self.mark_begun()
        await self.connection.send(sse_head(), *map(chunk, self.events(done=False)), chunk(b""))

    async def _cut_after_finish(self) -> None:
        self.mark_begun()
        await self.connection.send(
            sse_head(), *map(chunk, self.events(done=False)), pause=self.pause
        )
        await self._end_connection()

    async def _half_close(self) -> None:
        await self.send_beginning()
        self.connection.writer.write_eof()
        await self.connection.until_gone()

    async def _clean_end(self) -> None:
        await self.send_beginning()
        await self.connection.send(chunk(b""))

    async def _half_event(self) -> None:
        await self.send_beginning()
        await self.connection.send(chunk(b'data: {"choices": [{"del'), chunk(b""))

    async def _reset(self) -> None:
        await self.send_beginning()
        if self.rng.random() < 0.5:
            await reset_when_received(self.connection)
        else:
            self.connection.reset()

    async def _cut_chunk(self) -> None:
        await self.send_beginning()
        await self.connection.send(b"fff\r\n: half a chunk")
        self.connection.close()

    async def _bad_chunk(self) -> None:
        await self.send_beginning()
        await self.connection.send(b"zzz\r\nnot a chunk\r\n")
        self.connection.close()

    async def _long_length(self) -> None:
        self.mark_begun()
        events = self.events(self.plan.cut, finish=None, done=False)
        size = sum(map(len, events)) + self.rng.randint(1, 10_000)
        await self.connection.send(
            head(200, content_type="text/event-stream", content_length=str(size))
        )
        await self.connection.send(*events, pause=self.pause)
        self.connection.close()

    async def _short_length(self) -> None:
        self.mark_begun()
        events = self.events(done=False)
        size = sum(map(len, events[:-2])) + self.rng.randint(0, 9)
        await self.connection.send(
            head(200, content_type="text/event-stream", content_length=str(size))
        )
        await self.connection.send(b"".join(events) + b"data: [DONE]\n\n")
        self.connection.close()

    async def _bad_gzip(self) -> None:
        self.mark_begun()
        packed = zlib.compressobj(wbits=31)
        events = packed.compress(b"".join(self.events(self.plan.cut, finish=None, done=False)))
        events += packed.flush(zlib.Z_SYNC_FLUSH)
        # No deflate block begins like this. Damage inside a block is detected only at the end.
        await self.connection.send(
            sse_head(content_encoding="gzip"), chunk(events), chunk(b"\xff" * 40), chunk(b"")
        )

    async def _stall(self) -> None:
        await self.send_beginning()
        await self.connection.until_gone(FOREVER)

    async def _comments(self) -> None:
        await self.send_beginning()
        await self._send_until_left(lambda: self.connection.send(chunk(b": still here\n\n")))

    async def _in_band(self) -> None:
        await self.send_beginning()
        error = self.rng.choice(
            (
                data({"error": {"message": "out of memory", "code": 500}}),
                data({"error": "out of memory"}),
                b"event: error\ndata: out of memory\n\n",
                b'event: error\ndata: {"detail": "out of memory"}\n\n',
            )
        )
        await self.connection.send(chunk(error), *([chunk(b"")] if self.rng.random() < 0.5 else []))
        self.connection.close()

    async def _abort(self) -> None:
        self.mark_begun()
        reason = self.rng.choice(("abort", "error"))
        await self.connection.send(
            sse_head(), *map(chunk, self.events(self.plan.cut, finish=reason)), chunk(b"")
        )

    async def _garbage(self) -> None:
        await self.send_beginning()
        await self.connection.send(
            chunk(self.rng.choice((b"data: {nonsense\n\n", b"data: 7\n\n", b"data: \xff\n\n")))
        )
        await self.connection.until_gone()

    async def _json_response(self) -> None:
        self.mark_begun()
        await self.connection.send(
            json_response(self.rng.choice(({"choices": []}, {"error": {"message": "no"}})))
        )

    async def _endless(self) -> None:
        self.mark_begun()
        await self.connection.send(
            sse_head(), *map(chunk, self.events(finish=None, done=False)), pause=self.pause
        )
        event = data({"choices": [{"index": 0, "delta": {"content": "."}}]})
        await self._send_until_left(lambda: self.connection.send(chunk(event)))

    async def _send_until_left(self, send: Callable[[], Awaitable[None]]) -> None:
        """Send until the caller has closed the connection, and report the time."""
        leaving = asyncio.ensure_future(self.connection.until_gone(FOREVER))
        try:
            while not leaving.done():
                await send()
                await asyncio.wait((leaving,), timeout=0.05)
        except OSError:
            pass
        finally:
            at = time.monotonic()
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            report(gone=self.plan.call, at=at)
            self.connection.close()


class UnaryResponder(Responder):
    """Sends a whole response."""

    def __init__(
        self, connection: Connection, plan: Plan, call: Call, value: dict[str, Any]
    ) -> None:
        super().__init__(connection, plan, call)
        self.value = value

    async def respond(self) -> None:
        self.mark_begun()
        connection, value = self.connection, self.value
        body = json.dumps(value, ensure_ascii=False).encode()
        match self.plan.fault:
            case "dribble":
                whole = json_response(body)
                step = max(1, len(whole) // 200)
                for start in range(0, len(whole), step):
                    await connection.send(whole[start : start + step], pause=0.001)
            case "until_close":
                await connection.send(
                    head(200, content_type="application/json", connection="close"), body
                )
                connection.close()
            case "gzip":
                await connection.send(json_response(gzip.compress(body), content_encoding="gzip"))
            case "spare_response":
                await connection.send(
                    json_response(body) + json_response({"error": "idle for too long"}, 408)
                )
                connection.close()
            case "half_close" | "reset" | "stall":
                part = body[: self.rng.randrange(1, len(body))]
                await connection.send(
                    head(200, content_type="application/json", content_length=str(len(body))), part
                )
                await self._leave()
            case "bad_gzip":
                packed = bytearray(gzip.compress(body))
                packed[10:14] = b"\xff" * 4
                await connection.send(json_response(bytes(packed), content_encoding="gzip"))
            case "truncated":
                await connection.send(json_response(body[: len(body) // 2]))
            case "empty":
                await connection.send(head(200, content_length="0"))
            case "wrong_shape":
                wrong = self.rng.choice(
                    ({}, [], {"choices": [{}]}, {"choices": None}, {"data": [{}]}, 7, None)
                )
                await connection.send(json_response(wrong))
            case "bad_utf8":
                await connection.send(json_response(body[:-1] + b', "x": "\xff\xfe"}'))
            case "in_band":
                await connection.send(
                    json_response({"error": {"message": "out of memory", "code": 500}})
                )
            case "abort":
                value["choices"][0]["finish_reason"] = "abort"
                await connection.send(json_response(value))
            case _:
                await connection.send(json_response(body))
        await self.finish()

    async def _leave(self) -> None:
        match self.plan.fault:
            case "half_close":
                self.connection.writer.write_eof()
                await self.connection.until_gone()
            case "reset":
                self.connection.reset()
            case _:
                await self.connection.until_gone(FOREVER)


def data(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def completion(plan: Plan) -> dict[str, Any]:
    message = {"role": "assistant", "content": plan.text}
    return {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def embedding(plan: Plan) -> dict[str, Any]:
    return {"model": "m", "data": [{"index": 0, "embedding": plan.vector}]}


def report(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    server_state = Server()
    server = await asyncio.start_server(server_state.accept, "127.0.0.1", 0, backlog=1024)
    closing_idle = loop.create_task(server_state.close_idle())
    report(port=server.sockets[0].getsockname()[1])
    while await commands.readline():
        report(
            requests=server_state.requests,
            responding=sorted(server_state.responding.values()),
            open=server_state.open,
        )
    closing_idle.cancel()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
