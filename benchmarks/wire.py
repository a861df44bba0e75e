"""What the server and all clients share: slugs, sizes, the prompt. It imports no package."""

from __future__ import annotations

from typing import Any, Final

PROJECT: Final = "bench"

CHUNKS: Final = 1024
"""Events of a long stream."""

PACED_CHUNKS: Final = 40
"""Events of a paced stream."""

SHORT_CHUNKS: Final = 4
"""Events of the stream whose first event is timed."""

EVENTS: Final = {
    "stream-64": CHUNKS,
    "stream-1": CHUNKS,
    "stream-varied": CHUNKS,
    "paced": PACED_CHUNKS,
    "paced-one": PACED_CHUNKS,
    "short": SHORT_CHUNKS,
}
"""Events of each stream, without ``[DONE]``."""

WORDS: Final = (
    " the", " subscription", " can", " be", " cancelled", " at", " any", " time", ",", " and",
    " you", "’ll", " keep", " access", " until", " the", " end", " of", " the", " period", ".",
    "\n\n", "1", ".", " Open", " your", " account", "\n", "2", ".", " Choose", ' "', "Billing",
    '"', " →", " Cancel", ".", "\n\n", "¿", "Necesitas", " algo", " más", "?",
)  # fmt: skip
"""Texts of tokens, as models write them: words, some line ends, quotes and non-ASCII letters."""

TEXT_TOKENS: Final = 64
"""Tokens of the text that a unary call returns."""

TEXT_LENGTH: Final = sum(len(WORDS[number % len(WORDS)]) for number in range(TEXT_TOKENS))
"""Characters of the text that a unary call returns."""

EMBED_COUNT: Final = 256
EMBED_SIZE: Final = 1024

ENSURED: Final = 200
"""How many specs ``ensure_all`` receives."""

ENSURED_NUMBER: Final = 57
"""The number of the workload that ``ensure`` receives."""

KEY: Final = "ik_live_01234567_" + "0123456789abcdef" * 4
TOKEN: Final = "ik_sdk_01234567_" + "0123456789abcdef" * 4

PROMPT: Final = "Hola, ¿cómo puedo cancelar mi pedido? Contesta en una frase."
MAX_TOKENS: Final = 256
TEXTS: Final = [f"document {number}: how to cancel an order" for number in range(EMBED_COUNT)]


def text_of(number: int) -> str:
    """Return the text of a stream's n-th token."""
    return WORDS[number % len(WORDS)]


def chat_path(slug: str) -> str:
    """Return the path of a workload's chat completions."""
    return f"/endpoint/{PROJECT}/{slug}/v1/chat/completions"


def embed_path() -> str:
    """Return the path of the embeddings."""
    return f"/endpoint/{PROJECT}/embed/v1/embeddings"


def chat_body(slug: str, *, stream: bool) -> dict[str, Any]:
    """Return the body that every client sends, as a floor writes it."""
    body: dict[str, Any] = {
        "model": slug,
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": MAX_TOKENS,
    }
    if stream:
        body["stream"] = True
    return body


def workload_slug(number: int) -> str:
    """Return the slug of a project's n-th workload."""
    return f"workload-{number}"


def workload(count: int, number: int) -> dict[str, Any]:
    """Return a project's n-th workload, as the control plane lists it."""
    return {
        "id": f"{count:08x}-0000-4000-8000-{number:012x}",
        "project_id": f"{count:08x}-0000-4000-9000-000000000000",
        "name": f"Workload {number}",
        "slug": workload_slug(number),
        "description": "Answers customers",
        "task_type": "text2text",
        "backend": "vllm",
        "model_name": "meta-llama/Llama-3.1-8B-Instruct",
        "config": {"command": "vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 8192"},
        "worker_id": None,
        "gpu_resource_id": None,
        "execution_policy": "fixed",
        "execution_policy_config": {"replicas": 1},
        "created_at": "2026-11-21T12:00:00Z",
        "updated_at": "2026-11-21T12:00:00Z",
    }
