"""A small program that serves like vllm and sglang, well or badly: an OpenAI API with one answer.

`tiny_openai.py vllm serve MODEL …`, `tiny_openai.py sglang serve --model-path MODEL …`,
`tiny_openai.py anything …`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("name")
parser.add_argument("words", nargs="*")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
parser.add_argument("--model-path", "--model")
parser.add_argument("--served-model-name")
parser.add_argument("--api-key", default=os.environ.get("VLLM_API_KEY"))
parser.add_argument("--max-num-seqs", type=int)
parser.add_argument("--max-model-len", type=int)
parser.add_argument("--max-running-requests", type=int)
parser.add_argument(
    "--record", type=Path, help="write arguments, environment and working directory here, as JSON"
)
parser.add_argument("--say", default="", help="print this first")
parser.add_argument(
    "--chatter", type=float, default=0.0, help="print a line so often while loading, in seconds"
)
parser.add_argument("--loading", type=float, default=0.0, help="listen only after so many seconds")
parser.add_argument("--exit", type=int, help="end at once with this status")
parser.add_argument(
    "--live", type=float, help="end so many seconds after being ready, with status 7"
)
parser.add_argument("--health", default="/health", help="where it says that it is well")
parser.add_argument("--no-models", action="store_true", help="no /v1/models")
options = parser.parse_args()

if options.record:
    options.record.write_text(
        json.dumps({"argv": sys.argv[1:], "environ": dict(os.environ), "cwd": os.getcwd()})
    )
if options.say:
    print(options.say, flush=True)
if options.exit is not None:
    sys.exit(options.exit)
begin = time.monotonic()
while (left := options.loading - (time.monotonic() - begin)) > 0:
    if options.chatter:
        print(
            f"\x1b[32mLoading\x1b[0m weights: {100 * (1 - left / options.loading):.0f} %",
            flush=True,
        )
    time.sleep(min(left, options.chatter or left))

model = options.served_model_name or options.model_path or (options.words or ["nothing"])[-1]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == options.health:
            self.answer(200, {})
        elif self.path == "/v1/models" and not options.no_models and self.welcome():
            self.answer(200, {"object": "list", "data": [{"id": model, "object": "model"}]})
        else:
            self.answer(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)))
        if not self.welcome():
            self.answer(401, {"error": "Unauthorized"})
        elif asked["model"] != model:
            self.answer(
                404,
                {
                    "error": {
                        "message": f"The model `{asked['model']}` does not exist.",
                        "code": 404,
                    }
                },
            )
        else:
            self.say(["Hello ", "from ", options.name])

    def say(self, words: list[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in words:
            self.chunk({"index": 0, "delta": {"content": word}, "finish_reason": None})
        self.chunk({"index": 0, "delta": {}, "finish_reason": "stop"})
        self.wfile.write(b"data: [DONE]\n\n")

    def chunk(self, choice: dict[str, object]) -> None:
        chunk = {
            "id": "1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "choices": [choice],
        }
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def welcome(self) -> bool:
        return not options.api_key or self.headers["Authorization"] == f"Bearer {options.api_key}"

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


server = ThreadingHTTPServer((options.host, options.port), Handler)
print(f"{options.name} listens on {options.host}:{options.port}", flush=True)
if options.live is not None:
    threading.Timer(
        options.live, lambda: (print("CUDA error: out of memory", flush=True), os._exit(7))
    ).start()
server.serve_forever()
