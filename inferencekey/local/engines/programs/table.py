"""What is known of each program: how it is started, told where to listen, and asked how it is. Data only.

A new backend is a new row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

__all__ = ["ANY", "PROGRAMS", "USUAL", "Health", "Program"]


@frozen
class Health:
    """How it is seen that a program answers.

    Attributes:
        paths: asked in this order; the first that is not a 404 says: 200 is healthy.
        any_answer: for programs nobody here knows: 404 to all is healthy as well, and so is every answer below 500.
    """

    paths: tuple[str, ...] = ("/health",)
    any_answer: bool = False


@frozen
class Program:
    """One kind of program. Options are named as written, with their dashes; `_` and `-` in them are the same.

    Attributes:
        name: as people call it, and its file's name.
        subcommand: the word that must follow it, where the program does more than serve.
        modules: what `python -m` runs to the same effect.
        port: the options that give it the port; the first is used where the command has none.
        host: the same for the address.
        place: other options with a value about where it listens (sockets, prefixes, TLS): they are taken away.
        variables: the environment that gives it port and address; `{host}` and `{port}` stand for them.
        defaults: what its environment gets where neither the command nor the platform's own environment says it.
        api_key: the options that make it want a key.
        key_variable: the variable that does the same unseen, used where the command gives no key.
        slots: the options that say how many requests it computes at once.
        slots_variable: the variable that does.
        slots_default: how many, where neither does.
        properties: a path whose JSON has `total_slots`, which is the truth.
        health: how it is seen that it answers.
        pulls: it serves without a model, which is fetched and loaded over HTTP afterwards (ollama).
        streams_only: it stops computing when a stream is closed, and at nothing else (llama.cpp).
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
    health: Health = Health()
    pulls: bool = False
    streams_only: bool = False


LLAMA_SERVER: Final = Program(
    name="llama-server",
    place=("--api-prefix", "--ssl-key-file", "--ssl-cert-file"),
    api_key=("--api-key",),
    key_variable="LLAMA_API_KEY",
    slots=("--parallel", "-np"),
    properties="/props",
    streams_only=True,
)
VLLM: Final = Program(
    name="vllm",
    subcommand="serve",
    modules=("vllm.entrypoints.openai.api_server",),
    place=("--uds", "--root-path", "--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs"),
    api_key=("--api-key",),
    key_variable="VLLM_API_KEY",
    slots=("--max-num-seqs",),
    slots_default=256,
)
SGLANG: Final = Program(
    name="sglang",
    subcommand="serve",
    modules=("sglang.launch_server",),
    place=("--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs"),
    api_key=("--api-key",),
    slots=("--max-running-requests",),
    slots_default=256,
)
OLLAMA: Final = Program(
    name="ollama",
    subcommand="serve",
    port=(),
    host=(),
    variables={"OLLAMA_HOST": "{host}:{port}"},
    # A model stays loaded for as long as the workload is ready; several servers may share the user's models.
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
    health=Health(("/health", "/healthz", "/v1/models", "/"), any_answer=True),
)
"""Every other program: a custom backend's own."""

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
"""What a backend launches without a command: the first that is installed. `{source}` is `-m` or `-hf`, `{task}` TASK's."""

TASK: Final[Mapping[tuple[str, str], str]] = {
    ("llamacpp", "embedding"): "--embedding",
    ("llamacpp", "reranker"): "--reranking",
    ("sglang", "embedding"): "--is-embedding",
    ("sglang", "reward"): "--is-embedding",
}
"""What some task types need besides, by backend and task type."""
