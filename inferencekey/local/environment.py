"""What an engine's process sees of our environment: what makes programs run, nothing that is ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["engine_environment"]

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
    kept = {name: value for name, value in source.items() if name in NAMES or name.startswith(PREFIXES)}
    return {**kept, "HOME": str(home), "TMPDIR": str(home), **(extra or {})}
