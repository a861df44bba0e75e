"""What is known of each program: its command, its options, its health. Data only.

A new program is a new row here, and a row in ``_core/control/commands.py``, which knows which
backends it serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from inferencekey._core.control import commands
from inferencekey.local.engines.health import DEFAULT_HEALTH, Health

__all__ = ["ANY", "PROGRAMS", "TASK", "USUAL", "Program"]


@frozen
class Program:
    """One kind of program.

    Options have their dashes here. `_` and `-` inside an option are the same.

    Attributes:
        name: the name of its file, used in messages too.
        subcommand: the word that must follow the name if the program has other uses than serving.
        modules: the modules that `python -m` runs to the same effect.
        port: the options for the port; the first is used when the command has none of them.
        host: the options for the address, in the same way.
        place: other options with a value about where it listens (sockets, prefixes, TLS); they
            are removed.
        variables: environment variables for port and address, with `{host}` and `{port}` in them.
        defaults: environment variables that are set unless the command or the platform's own
            environment sets them.
        api_key: the options that make it require a key.
        key_variable: the variable that does the same. It is used when the command has no key,
            because the command line of a process is public and its environment is not.
        slots: the options for how many requests it computes at the same time.
        slots_variable: the variable for that number.
        slots_default: that number when neither is given.
        properties: a path whose JSON has `total_slots`, the number that the program really uses.
        health: how to see that it is healthy.
        pulls: whether it starts without a model and loads one over HTTP (ollama).
        streams_only: whether closing a stream is the only way to stop its computation (llama.cpp).
    """

    name: str
    subcommand: str = ""
    modules: tuple[str, ...] = ()
    port: tuple[str, ...] = ("--port",)
    host: tuple[str, ...] = ("--host",)
    place: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(factory=dict[str, str])
    defaults: Mapping[str, str] = field(factory=dict[str, str])
    api_key: tuple[str, ...] = ()
    key_variable: str = ""
    slots: tuple[str, ...] = ()
    slots_variable: str = ""
    slots_default: int = 4
    properties: str = ""
    health: Health = DEFAULT_HEALTH
    pulls: bool = False
    streams_only: bool = False


LLAMA_SERVER: Final = Program(
    name=commands.LLAMA_SERVER.name,
    place=("--api-prefix", "--ssl-key-file", "--ssl-cert-file"),
    api_key=("--api-key",),
    key_variable="LLAMA_API_KEY",
    slots=("--parallel", "-np"),
    properties="/props",
    streams_only=True,
)
VLLM: Final = Program(
    name=commands.VLLM.name,
    subcommand="serve",
    modules=commands.VLLM.server_modules,
    place=("--uds", "--root-path", "--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs"),
    api_key=("--api-key",),
    key_variable="VLLM_API_KEY",
    slots=("--max-num-seqs",),
    slots_default=256,
)
SGLANG: Final = Program(
    name=commands.SGLANG.name,
    subcommand="serve",
    modules=commands.SGLANG.server_modules,
    place=("--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs"),
    api_key=("--api-key",),
    slots=("--max-running-requests",),
    slots_default=256,
)
OLLAMA: Final = Program(
    name=commands.OLLAMA.name,
    subcommand="serve",
    port=(),
    host=(),
    variables={"OLLAMA_HOST": "{host}:{port}"},
    # The model stays loaded as long as the workload is ready. No pruning: other servers may share
    # the user's models.
    defaults={"OLLAMA_KEEP_ALIVE": "-1", "OLLAMA_NOPRUNE": "1"},
    slots_variable="OLLAMA_NUM_PARALLEL",
    slots_default=1,
    health=Health(("/api/version",)),
    pulls=True,
)

PROGRAMS: Final = (LLAMA_SERVER, VLLM, SGLANG, OLLAMA)

ANY: Final = Program(
    name="",
    variables={"HOST": "{host}", "PORT": "{port}"},
    health=Health(("/health", "/healthz", "/v1/models", "/"), any_response=True),
)
"""Every other program, such as that of a custom backend."""

USUAL: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "llamacpp": (("llama-server", "{source}", "{model}", "--alias", "{model}", "{task}"),),
    "vllm": (("vllm", "serve", "{model}"),),
    "vllm-omni": (("vllm", "serve", "{model}", "--omni"),),
    "sglang": (
        ("sglang", "serve", "--model-path", "{model}", "{task}"),
        ("python3", "-m", "sglang.launch_server", "--model-path", "{model}", "{task}"),
    ),
    "ollama": (("ollama", "serve"),),
}
"""What a workload without a command launches, by backend: the first that is installed.

`{source}` stands for `-m` or `-hf`, `{task}` for the option in :data:`TASK`.
"""

TASK: Final[Mapping[tuple[str, str], str]] = {
    ("llamacpp", "embedding"): "--embedding",
    ("llamacpp", "reranker"): "--reranking",
    ("sglang", "embedding"): "--is-embedding",
    ("sglang", "reward"): "--is-embedding",
}
"""One more option that some task types need, by backend and task type."""
