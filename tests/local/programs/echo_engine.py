"""A program with an API of its own: returns each request as JSON, and breaks on demand.

`echo_engine.py NAME [--port P] [--key K] [--slow SECONDS] [--bad]`
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--slow", type=float, default=0.0, help="between two pieces of an answer")
parser.add_argument("--pieces", type=int, default=4, help="of a streamed answer")
parser.add_argument("--bad", action="store_true", help="end before it is ready")
options = parser.parse_args()
if options.bad:
    sys.exit("error: unknown model architecture")

computing = threading.Event()
left = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path = self.path.partition("?")[0]
        if path in ("/health", "/v1/models"):
            return self.whole(200, {"data": [{"id": options.name}]})
        if path == "/v1/left":
            return self.whole(200, {"computing": computing.is_set(), "left": left.is_set()})
        if path == "/v1/audio/speech":
            return self.send(
                200, bytes(range(256)) * 64, "audio/wav", {"Content-Disposition": "attachment"}
            )
        if path.startswith("/v1/status/"):
            return self.send(
                int(path.rpartition("/")[2]), b'{"detail": "as asked"}', "application/json"
            )
        if path == "/v1/huge":
            return self.send(400, b"x" * 1_000_000, "text/plain")
        asked = json.loads(body) if "json" in (self.headers["Content-Type"] or "") and body else {}
        if asked.get("stream"):
            return self.stream(asked, json.dumps(asked))
        if path == "/v1/half":
            return self.half()
        if asked.get("wait"):
            return self.wait()
        seen = {
            "method": self.command,
            "path": self.path,
            "type": self.headers["Content-Type"],
            "key": self.headers["Authorization"],
            "body": base64.b64encode(body).decode(),
            "model": options.name,
        }
        return self.whole(200, seen)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - as http.server wants them

    def whole(self, status: int, body: object) -> None:
        self.send(status, json.dumps(body).encode(), "application/json")

    def send(self, status: int, data: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, asked: dict[str, object], told: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        # Without chunks, the response ends with the connection.
        self.close_connection = self.bare = bool(asked.get("bare"))
        self.send_header(
            *(("Connection", "close") if self.bare else ("Transfer-Encoding", "chunked"))
        )
        self.end_headers()
        pieces = [told, *[options.name] * (options.pieces - 1)]
        for piece in pieces:
            delta = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
            self.event(
                json.dumps(
                    {"object": "chat.completion.chunk", "model": options.name, "choices": [delta]}
                )
            )
            time.sleep(options.slow)
        if asked.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if asked.get("finish"):
            self.event(
                json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
            )
            self.event(json.dumps({"choices": [], "usage": {"total_tokens": 9}}))
        if not asked.get("no_done"):
            self.event("[DONE]")
        if not self.bare:
            self.wfile.write(b"0\r\n\r\n")

    def event(self, data: str) -> None:
        text = f"data: {data}\n\n".encode()
        self.wfile.write(text if self.bare else b"%x\r\n%s\r\n" % (len(text), text))
        self.wfile.flush()

    def half(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 500)
        self.wfile.flush()
        time.sleep(0.2)
        self.close_connection = True

    def wait(self) -> None:
        """Compute until the caller leaves."""
        computing.set()
        self.connection.settimeout(20)
        if self.connection.recv(1) == b"":
            left.set()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", options.port), Handler).serve_forever()
