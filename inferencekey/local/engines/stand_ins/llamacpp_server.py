"""The program of the stand-in engines: llama.cpp's own HTTP server, through `xllamacpp`.

It is run as a child of the platform, by path or with `-m`. It imports nothing of ours unless
something is missing, so it starts as fast as llama.cpp does. It reports where it listens, or why
it cannot, in one JSON line on the descriptor that it is given:
`{"address": "http://127.0.0.1:PORT"}` or `{"error": "one line"}`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

KEY_VARIABLE = "INFERENCEKEY_ENGINE_KEY"
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


class CannotServe(Exception):
    """This engine cannot run; the message is one line that says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return 0 after a clean stop, 1 if it could not serve."""
    options = parse(argv)
    die_with_parent()
    # Threads inherit the mask. Blocked before llama.cpp starts its threads, the signals are only
    # ever received by `sigwait` below.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        server = serve(options)
    except CannotServe as error:
        report(options.report_fd, {"error": str(error)})
        print(error, file=sys.stderr)
        return 1
    report(options.report_fd, {"address": str(server.listening_address)})
    signal.sigwait(STOP_SIGNALS)
    del server
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line. The API key is not an option: every user can read a command line."""
    parser = argparse.ArgumentParser(
        prog="llamacpp_server", description="Serve one GGUF model on 127.0.0.1."
    )
    parser.add_argument("--model", required=True, type=Path, help="the GGUF file")
    parser.add_argument("--alias", required=True, help="the model name in responses")
    parser.add_argument("--embedding", action="store_true", help="serve embeddings instead of text")
    parser.add_argument("--parallel", type=int, default=4, help="requests served at the same time")
    parser.add_argument(
        "--ctx", type=int, default=8192, help="tokens of context, split over the parallel requests"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--report-fd", type=int, required=True, help="descriptor the address is written to"
    )
    return parser.parse_args(argv)


def die_with_parent() -> None:
    """End this process when the parent is gone, even after `kill -9`.

    The parent holds the other end of our stdin and never writes, so a read returns only when the
    parent's process is dead. Linux's PR_SET_PDEATHSIG is not enough: it fires when the *thread*
    that forked us ends, even if the process lives on, and macOS has nothing like it. If stdin is
    not a pipe, a person runs the program by hand.
    """
    if sys.stdin is None or not stat.S_ISFIFO(os.fstat(0).st_mode):
        return

    def wait_for_eof() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=wait_for_eof, name="parent-watch", daemon=True).start()


def serve(options: argparse.Namespace) -> Any:
    """Return a listening `xllamacpp.Server`; it serves as long as it is referenced."""
    # OpenMP reads this once, when it is loaded. By default its threads spin between tokens: when
    # both cores of a small machine are busy, that costs nine tenths of the speed.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    xllamacpp = load_xllamacpp()
    if not options.model.is_file():
        raise CannotServe(f"the model file {options.model} does not exist")

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    key = os.environ.pop(KEY_VARIABLE, "")
    params.api_keys = [key] if key else []
    params.n_parallel = options.parallel
    params.n_ctx = options.ctx
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.embedding = options.embedding
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0
    # Only the platform talks to this server: no pages, no browsers, and no list of other
    # callers' prompts.
    params.ui = False
    params.cors_origins = ""
    params.endpoint_slots = False
    try:
        return xllamacpp.Server(params)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CannotServe(f"llama.cpp cannot load {options.model}: {reason}") from error


def load_xllamacpp() -> Any:
    """Return the `xllamacpp` module; a failed import says how to make it work."""
    try:
        return import_module("xllamacpp")
    except ModuleNotFoundError as error:
        if error.name != "xllamacpp":
            raise CannotServe(f"xllamacpp cannot be imported: {error}") from error
        raise CannotServe(f"xllamacpp is not installed; {_install_hint()}") from error
    except ImportError as error:
        if "libgomp" in str(error):
            raise CannotServe(
                "xllamacpp needs the system library libgomp;"
                " run: apt-get install libgomp1 (Debian, Ubuntu) or dnf install libgomp (Fedora)"
            ) from error
        raise CannotServe(
            f"xllamacpp cannot be imported: {' '.join(str(error).split())}"
        ) from error


def _install_hint() -> str:
    try:
        from inferencekey.installing import install_command
    except ImportError:  # run by path, where the package itself is not installed
        return "install inferencekey with its extra 'local'"
    return f"run: {install_command('local')}"


def report(descriptor: int, message: dict[str, str]) -> None:
    """Write the line that the parent waits for, and close. A missing parent is not an error."""
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(message) + "\n")
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main())
