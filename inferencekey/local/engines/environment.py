"""What an engine's process sees of our environment: what makes programs run, nothing that is ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from inferencekey.config import ENGINE_ENV

__all__ = ["CREDENTIALS", "PASS_VARIABLE", "engine_environment", "program_environment"]

PASS_VARIABLE = ENGINE_ENV.name
"""Names, with commas between, of what installed programs get besides: `HF_TOKEN` for gated models."""

NAMES = frozenset(
    {
        "PATH",
        "LANG",
        "LANGUAGE",
        "TZ",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "DYLD_FALLBACK_LIBRARY_PATH",
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "PYTHONHOME",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    }
)
PREFIXES = ("LC_", "OMP_", "GGML_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "HSA_")

# A program of the user's own finds the user's own models, caches and settings, as when the user starts it.
PROGRAM_NAMES = NAMES | {
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "CONDA_PREFIX",
    "PYENV_ROOT",
    "PYTHONUSERBASE",
    "PYTHONUNBUFFERED",
    "LD_PRELOAD",
    "CC",
    "CXX",
}
PROGRAM_PREFIXES = (
    *PREFIXES,
    *(
        "HF_",
        "HUGGINGFACE_HUB_CACHE",
        "TRANSFORMERS_",
        "OLLAMA_",
        "VLLM_",
        "SGLANG_",
        "SGL_",
        "LLAMA_CACHE",
    ),
    *(
        "TORCH",
        "PYTORCH_",
        "TRITON_",
        "NCCL_",
        "GLOO_",
        "FLASHINFER_",
        "MKL_",
        "OPENBLAS_",
        "TOKENIZERS_",
    ),
    *("ROCM_", "VK_", "ONEAPI_", "ZE_", "SYCL_"),
)
PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
# What the name of a credential ends with.
CREDENTIALS = ("_KEY", "_TOKEN", "_TOKEN_PATH", "_SECRET", "_PASSWORD", "_CREDENTIALS", "_AUTH")


def engine_environment(
    home: Path, extra: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the whole environment of an engine.

    Only names known to be needed pass: no credential of the user's shell does, ours or another's.

    Args:
        home: the engine's own folder; what programs keep "at home" and in temporary files goes there.
        extra: what this engine needs besides; wins over the rest.
        environ: default `os.environ`.
    """
    source = os.environ if environ is None else environ
    kept = {
        name: value for name, value in source.items() if name in NAMES or name.startswith(PREFIXES)
    }
    return {**kept, "HOME": str(home), "TMPDIR": str(home), **(extra or {})}


def program_environment(
    extra: Mapping[str, str] | None = None,
    *,
    defaults: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment of a program that the user installed.

    It gets what the user's own start of it would give it, less every credential: no variable with the name of one, no
    proxy with a password, and the token that `hf auth login` left is pointed away from. What `INFERENCEKEY_ENGINE_ENV`
    names passes all the same; `HF_TOKEN` there means the login as well.

    Args:
        extra: what this program needs besides; wins over the rest.
        defaults: what it gets where nobody says it.
        environ: default `os.environ`.
    """
    source = os.environ if environ is None else environ
    asked = ENGINE_ENV.read(source)
    kept = {
        name: value for name, value in source.items() if name in asked or _harmless(name, value)
    }
    login = {} if "HF_TOKEN" in asked else {"HF_TOKEN_PATH": os.devnull}
    ours = [name for name in kept if name.upper().startswith("INFERENCEKEY_")]
    for name in ours:
        del kept[name]
    return {**(defaults or {}), **login, **kept, **(extra or {})}


def _harmless(name: str, value: str) -> bool:
    if name.upper() in PROXIES:
        return "@" not in value
    known = name in PROGRAM_NAMES or name.startswith(PROGRAM_PREFIXES)
    return known and not name.endswith(CREDENTIALS) and not ("://" in value and "@" in value)
