"""llama.cpp's own HTTP server with the options of `llama-server`, from the package `xllamacpp`.

`real_llama_server.py -m FILE [--host H] [--port P] [--alias NAME] [-c N] [--parallel N]
[--embedding]`. It reads its key from `LLAMA_API_KEY`, as the real program does.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = "passive"

import xllamacpp

parser = argparse.ArgumentParser(prog="llama-server")
parser.add_argument("-m", "--model", required=True, type=Path)
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=8080)
parser.add_argument("-a", "--alias")
parser.add_argument("-c", "--ctx-size", type=int, default=2048)
parser.add_argument("-np", "--parallel", type=int, default=4)
parser.add_argument("--embedding", action="store_true")
parser.add_argument("--api-key")
options = parser.parse_args()

signals = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
if not options.model.is_file():
    sys.exit(f"error: failed to open GGUF file '{options.model}'")
params = xllamacpp.CommonParams()
params.model.path = str(options.model)
params.model_alias = {options.alias or options.model.name}
params.hostnames = [options.host]
params.port = options.port
key = options.api_key or os.environ.get("LLAMA_API_KEY")
params.api_keys = [key] if key else []
params.n_parallel = options.parallel
params.n_ctx = options.ctx_size
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
params.embedding = options.embedding
params.n_gpu_layers = 0
params.cache_ram_mib = 0
params.ui = False
server = xllamacpp.Server(params)
print(f"main: server is listening on {server.listening_address}", flush=True)
signal.sigwait(signals)
