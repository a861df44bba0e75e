"""A small program that behaves like an engine, well or badly, as a real process."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('on', flush=True); time.sleep(600)"
)

parser = argparse.ArgumentParser()
parser.add_argument("--report-fd", type=int)
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--exit", type=int, help="end at once with this status")
parser.add_argument("--error", help="report this error and end")
parser.add_argument("--say", default="", help="print this first")
parser.add_argument("--mute", action="store_true", help="never report")
parser.add_argument("--loading", type=float, default=0.0, help="answer 503 for so many seconds")
parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM")
parser.add_argument(
    "--grandchild", type=Path, help="start a process that ignores SIGTERM; write its pid here"
)
parser.add_argument(
    "--environment", type=Path, help="write the environment and working directory here, as JSON"
)
parser.add_argument(
    "--die-once", type=Path, help="end with status 9 unless this file exists, and make it"
)
options = parser.parse_args()

if options.say:
    print(options.say, flush=True)
if options.environment:
    options.environment.write_text(json.dumps({"environ": dict(os.environ), "cwd": os.getcwd()}))
if options.grandchild:
    grandchild = subprocess.Popen([sys.executable, "-c", IGNORES_SIGTERM], stdout=subprocess.PIPE)
    grandchild.stdout.readline()
    options.grandchild.write_text(str(grandchild.pid))
if options.exit is not None:
    sys.exit(options.exit)
if options.die_once and not options.die_once.exists():
    options.die_once.touch()
    sys.exit(9)
if options.stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def report(message: dict[str, str]) -> None:
    os.write(options.report_fd, json.dumps(message).encode() + b"\n")


if options.error:
    report({"error": options.error})
    sys.exit(1)

begin = time.monotonic()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if time.monotonic() - begin >= options.loading else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
if options.report_fd is not None and not options.mute:
    report({"address": f"http://127.0.0.1:{server.server_address[1]}"})
server.serve_forever()
