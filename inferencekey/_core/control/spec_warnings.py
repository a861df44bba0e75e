"""Warnings about a spec: what is valid in it but probably a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from inferencekey._core.control.commands import (
    module_at,
    program_backends,
    program_name,
    split_command,
    split_variables,
)
from inferencekey._core.control.foreign_secrets import foreign_secrets
from inferencekey.credentials import redact
from inferencekey.models import Backend, WorkloadSpec
from inferencekey.models.nearest import nearest

__all__ = ["SpecAdvice", "spec_advice", "spec_warnings"]

# With 0.8, `vlm` and `llama-cpp` are taken for typing errors, `vllm-fork` and `my-vllm` are not.
_MISTYPED: Final = 0.8


Path = tuple[str | int, ...]


@attrs.frozen
class SpecAdvice:
    """One thing that is valid but probably a mistake.

    Args:
        path: the field, and inside a mapping the keys and indices to it.
        message: what it is; it contains no credential.
    """

    path: Path
    message: str = attrs.field(converter=redact)


def spec_warnings(spec: WorkloadSpec) -> tuple[str, ...]:
    """Return one message for each thing that is probably a mistake.

    Args:
        spec: a spec that :func:`check_spec` accepts.
    """
    return tuple(advice.message for advice in spec_advice(spec))


def spec_advice(spec: WorkloadSpec) -> tuple[SpecAdvice, ...]:
    """Return the same, each with its path in the spec.

    Args:
        spec: a spec that :func:`check_spec` accepts.
    """
    return (*_backend(spec.backend), *_command(spec), *_secrets(spec))


def _secrets(spec: WorkloadSpec) -> Iterator[SpecAdvice]:
    for field in ("command", "config"):
        for path, kind in foreign_secrets(getattr(spec, field), (field,)):
            yield SpecAdvice(
                path,
                f"{'.'.join(map(str, path))} seems to contain {kind}; a spec is stored and shown "
                "in plans: put the credential into the engine's environment",
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
    program, backends = _program(split_command(command))
    if isinstance(spec.backend, Backend) and backends and spec.backend not in backends:
        served = " or ".join(map(repr, map(str, backends)))
        text = f"command runs {program}, which serves the backend {served}"
        yield SpecAdvice(path, f"{text}, but backend is {str(spec.backend)!r}")


def _program(command: list[str]) -> tuple[str, tuple[Backend, ...]]:
    """Return the program that a command runs, and its backends; no backends if it may serve any."""
    _, words = split_variables(command)
    module = module_at(words)
    if module:
        return f"python -m {module}", program_backends(module=module)
    name = program_name(words[0]) if words else ""
    return name, program_backends(name)
