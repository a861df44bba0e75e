"""A small program that serves like `ollama serve`: it pulls models and loads them.

Models are files in `OLLAMA_MODELS`. A model called `broken` cannot be pulled, and one called
`huge` cannot be loaded.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

assert sys.argv[1:] == ["serve"], sys.argv
models = Path(os.environ["OLLAMA_MODELS"])
models.mkdir(parents=True, exist_ok=True)
loaded: set[str] = set()


def full(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def have() -> list[str]:
    return sorted(path.name.replace("+", "/") for path in models.iterdir())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/api/version":
            self.answer(200, {"version": "0.12.0"})
        elif self.path == "/api/tags":
            self.answer(200, {"models": [{"name": name} for name in have()]})
        elif self.path == "/v1/models":
            self.answer(200, {"data": [{"id": name} for name in have()]})
        elif self.path == "/loaded":
            self.answer(200, sorted(loaded))
        else:
            self.answer(404, {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)))
        if self.path == "/api/pull":
            self.pull(asked["model"])
        elif full(asked["model"]) not in have():
            self.answer(404, {"error": f"model '{asked['model']}' not found"})
        elif asked["model"] == "huge":
            self.answer(
                500,
                {
                    "error": "model requires more system memory (400.0 GiB)"
                    " than is available (24.0 GiB)"
                },
            )
        else:
            loaded.add(f"{self.path} {full(asked['model'])}")
            self.answer(200, {"done": True})

    def pull(self, model: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()
        said: list[dict[str, object]] = [{"status": "pulling manifest"}]
        if model == "broken":
            said.append({"error": "pull model manifest: file does not exist"})
        else:
            said += [
                {"status": "pulling a1b2", "total": 200, "completed": n} for n in (0, 100, 101, 200)
            ]
            said += [{"status": "verifying sha256 digest"}, {"status": "success"}]
            (models / full(model).replace("/", "+")).touch()
        for line in said:
            self.wfile.write(json.dumps(line).encode() + b"\n")

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
