"""What a spec may say but probably does not mean."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Final, cast

import attrs

from inferencekey._core.control.foreign_secrets import foreign_secrets
from inferencekey.config import redact
from inferencekey.models import Backend, WorkloadSpec
from inferencekey.models.nearest import nearest

__all__ = ["SpecAdvice", "spec_advice", "spec_warnings"]

# Whose program is it? What is not in here (wrappers, shells, containers, one's own scripts) may run anything.
_PROGRAMS: Final = {
    "vllm": (Backend.VLLM, Backend.VLLM_OMNI),
    "vllm-omni": (Backend.VLLM_OMNI,),
    "sglang": (Backend.SGLANG,),
    "ollama": (Backend.OLLAMA,),
    "llama-server": (Backend.LLAMACPP,),
    "llama-cli": (Backend.LLAMACPP,),
    "sd-server": (Backend.STABLE_DIFFUSION_CPP,),
}
_MODULES: Final = {
    "vllm": (Backend.VLLM, Backend.VLLM_OMNI),
    "vllm_omni": (Backend.VLLM_OMNI,),
    "sglang": (Backend.SGLANG,),
    "llama_cpp": (Backend.LLAMACPP,),
}
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PYTHON: Final = re.compile(r"python[0-9.]*")
# At 0.8, `vlm` and `llama-cpp` are mistakes, `vllm-fork` and `my-vllm` are not.
_MISTYPED: Final = 0.8


Path = tuple[str | int, ...]


@attrs.frozen
class SpecAdvice:
    """One thing that is allowed but probably not meant.

    Args:
        path: the field, and inside a mapping the keys and indices to it.
        message: what it is; holds no credential.
    """

    path: Path
    message: str = attrs.field(converter=redact)


def spec_warnings(spec: WorkloadSpec) -> tuple[str, ...]:
    """Return what is allowed but probably not meant: one text for each.

    Args:
        spec: a spec that :func:`check_spec` lets pass.
    """
    return tuple(advice.message for advice in spec_advice(spec))


def spec_advice(spec: WorkloadSpec) -> tuple[SpecAdvice, ...]:
    """Return the same, each with its place in the spec.

    Args:
        spec: a spec that :func:`check_spec` lets pass.
    """
    return (*_backend(spec.backend), *_command(spec), *_secrets(spec))


def _secrets(spec: WorkloadSpec) -> Iterator[SpecAdvice]:
    for field in ("command", "config"):
        for path, kind in foreign_secrets(getattr(spec, field), (field,)):
            yield SpecAdvice(
                path,
                f"{'.'.join(map(str, path))} seems to hold {kind}; a spec is stored and shown in plans: "
                "put the credential where the engine runs",
            )


def _backend(backend: str) -> Iterator[SpecAdvice]:
    if not isinstance(backend, Backend):
        meant = nearest(backend, Backend, likeness=_MISTYPED)
        if meant is not None:
            text = f"backend {backend!r} names a custom backend; did you mean {str(meant)!r}?"
            yield SpecAdvice(("backend",), text)


def _command(spec: WorkloadSpec) -> Iterator[SpecAdvice]:
    command: object = spec.command
    path: Path = ("command",)
    if command is None and spec.config is not None:
        command, path = spec.config.get("command"), ("config", "command")
    if not isinstance(command, str):
        return
    program, backends = _whose(shlex.split(command))
    if isinstance(spec.backend, Backend) and backends and spec.backend not in backends:
        theirs = " or ".join(map(repr, map(str, backends)))
        text = f"command runs {program}, which serves the backend {theirs}, but backend is {str(spec.backend)!r}"
        yield SpecAdvice(path, text)


def _whose(words: list[str]) -> tuple[str, tuple[Backend, ...]]:
    """Return the program that a command runs, and the backends it is of; none where that is not known."""
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    name = re.split(r"[/\\]", words[0])[-1].removesuffix(".exe") if words else ""
    if _PYTHON.fullmatch(name) and "-m" in words[1:-1]:
        module = words[words.index("-m") + 1]
        return f"python -m {module}", _MODULES.get(module.partition(".")[0], ())
    return name, cast("tuple[Backend, ...]", _PROGRAMS.get(name, ()))
