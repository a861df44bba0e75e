"""What an engine's process gets of our environment: what programs need, and no credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from inferencekey.config import ENGINE_ENV

__all__ = ["CREDENTIALS", "PASS_VARIABLE", "engine_environment", "program_environment"]

PASS_VARIABLE = ENGINE_ENV.name
"""More names for installed programs, separated by commas: ``HF_TOKEN`` for gated models."""

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

# A program that the user installed finds the user's models, caches and settings, as it does when
# the user starts it.
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
    # Programs and their models.
    "HF_",
    "HUGGINGFACE_HUB_CACHE",
    "TRANSFORMERS_",
    "OLLAMA_",
    "VLLM_",
    "SGLANG_",
    "SGL_",
    "LLAMA_CACHE",
    # Libraries that compute.
    "TORCH",
    "PYTORCH_",
    "TRITON_",
    "NCCL_",
    "GLOO_",
    "FLASHINFER_",
    "MKL_",
    "OPENBLAS_",
    "TOKENIZERS_",
    # Drivers of GPUs.
    "ROCM_",
    "VK_",
    "ONEAPI_",
    "ZE_",
    "SYCL_",
)
PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
# A variable whose name ends like this may hold a credential.
CREDENTIALS = ("_KEY", "_TOKEN", "_TOKEN_PATH", "_SECRET", "_PASSWORD", "_CREDENTIALS", "_AUTH")


def engine_environment(
    home: Path, extra: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the whole environment of an engine of ours.

    Only names that engines need are passed on, so no credential of the user's shell is.

    Args:
        home: the engine's own folder, used for its home and its temporary files.
        extra: more variables for this engine; they replace others.
        environ: default: ``os.environ``.
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

    The program gets what it gets when the user starts it, without credentials: no variable with
    the name of one, and no proxy with a password. ``HF_TOKEN_PATH`` hides the token that
    ``hf auth login`` has stored. What ``INFERENCEKEY_ENGINE_ENV`` names is passed on in any case;
    ``HF_TOKEN`` in it allows the stored token too.

    Args:
        extra: more variables for this program; they replace others.
        defaults: variables for this program that are used only if nothing else sets them.
        environ: default: ``os.environ``.
    """
    source = os.environ if environ is None else environ
    allowed = ENGINE_ENV.read(source)
    kept = {
        name: value
        for name, value in source.items()
        if (name in allowed or _is_harmless(name, value)) and not _is_ours(name)
    }
    login: dict[str, str] = {}
    if "HF_TOKEN" not in allowed:
        # huggingface_hub reads the token of `hf auth login` from this path.
        login["HF_TOKEN_PATH"] = os.devnull
    return {**(defaults or {}), **login, **kept, **(extra or {})}


def _is_ours(name: str) -> bool:
    return name.upper().startswith("INFERENCEKEY_")


def _is_harmless(name: str, value: str) -> bool:
    # Some programs read `http_proxy`, others `HTTP_PROXY`.
    if name.upper() in PROXIES:
        return "@" not in value
    known = name in PROGRAM_NAMES or name.startswith(PROGRAM_PREFIXES)
    url_with_password = "://" in value and "@" in value
    return known and not name.endswith(CREDENTIALS) and not url_with_password
