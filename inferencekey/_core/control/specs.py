"""The checks of a spec, before any request.

A spec must be able to create its workload, so the kind of a policy needs all of its settings.
Settings without a kind update the policy of the live workload: their keys replace the live ones,
and only the server can check them, because only it knows the kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

import attrs

from inferencekey._core.control.commands import command_problem
from inferencekey._core.control.policies import policy_problems
from inferencekey._core.json import dumps, loads, not_finite, plain
from inferencekey._core.slugs import canonical_slug, checked_project
from inferencekey.credentials import contains_token, contains_token_start, is_secret, redact
from inferencekey.errors import ConfigurationError, ValidationError
from inferencekey.models import Backend, ExecutionPolicy, WorkloadSpec, member
from inferencekey.models.half_characters import HALF_CHARACTER
from inferencekey.models.nearest import did_you_mean
from inferencekey.models.spec import SPEC_FIELDS
from inferencekey.models.workload_fields import CONFIG_FIELDS, WorkloadField
from inferencekey.printable import surrogate_in

__all__ = [
    "SECRET",
    "SpecProblem",
    "check_spec",
    "resolve_project",
    "secret_problems",
    "spec_problems",
]

SECRET: Final = "secrets must never go in specs"  # noqa: S105 (words, not a secret)

_WORD: Final = re.compile(r"[^A-Za-z0-9_\-]+")

Path = tuple[str | int, ...]


@attrs.frozen
class SpecProblem:
    """One thing wrong with a spec.

    Args:
        field: the field of the spec.
        message: what is wrong with it; begins with the field's path.
        path: the field and, inside a mapping, the keys and indices to the wrong value.
        secret: the value is, or contains, a credential.
    """

    field: str
    message: str = attrs.field(converter=redact)
    path: Path = attrs.field(default=attrs.Factory(lambda self: (self.field,), takes_self=True))
    secret: bool = False


def check_spec(spec: WorkloadSpec) -> str:
    """Check a spec and return its canonical slug.

    Raises:
        ConfigurationError: a field is a credential, or the command or a mapping contains one.
        ValidationError: a required field is blank; a field has the wrong type, or a value that JSON
            does not have; the string of an enum is unknown; the policy is not one of the
            contract's; the command is blank or has an unclosed quote; a field does not apply to the
            backend. The message lists every problem.
    """
    if not isinstance(cast("object", spec), WorkloadSpec):
        raise ValidationError.of(f"spec must be a WorkloadSpec; got {type(spec).__name__}")
    problems = spec_problems(spec)
    if any(problem.secret for problem in problems):
        raise ConfigurationError.of(SECRET)
    if len(problems) == 1:
        raise ValidationError.of(problems[0].message)
    if problems:
        listed = "".join(f"\n  - {problem.message}" for problem in problems)
        raise ValidationError.of(f"{len(problems)} problems in the spec:{listed}")
    return canonical_slug(spec.slug)


def spec_problems(spec: WorkloadSpec) -> tuple[SpecProblem, ...]:
    """Return everything that is wrong with a spec, secrets first."""
    found = (
        *_string_problems(spec),
        *_mapping_problems(spec),
        *_enum_problems(spec),
        *_backend_problems(spec),
        *_policy_problems(spec),
    )
    return tuple(sorted(found, key=lambda problem: not problem.secret))


def secret_problems(field: str, value: object) -> Iterator[SpecProblem]:
    """Yield every place at which the value of a field, as parsed from JSON, has a credential.

    The local platform uses this as well, so that it refuses what the client refuses.
    """
    if isinstance(value, str):
        if contains_token(value):
            yield _secret(field)
    else:
        for path in _secrets_inside(value, (field,)):
            yield _secret(field, path)


def _string_problems(spec: WorkloadSpec) -> Iterator[SpecProblem]:
    for field in SPEC_FIELDS:
        value: object = getattr(spec, field.name)
        if field.kind == "string" and (value is not None or field.required_in_spec):
            yield from _string_problem(field, value)


def _string_problem(field: WorkloadField, value: object) -> Iterator[SpecProblem]:
    name = field.name
    if not isinstance(value, str):
        yield SpecProblem(name, f"{name} must be a string; got {type(value).__name__}")
    elif contains_token(value) or (name == "command" and any(map(is_secret, _WORD.split(value)))):
        yield _secret(name)
    elif surrogate_in(value):
        yield SpecProblem(name, f"{name} {HALF_CHARACTER}")
    elif field.required_in_spec and not value.strip():
        yield SpecProblem(name, f"{name} must not be empty")
    elif name == "slug" and not canonical_slug(value):
        yield SpecProblem(name, f"slug must contain a letter (a to z) or a digit; got {value!r}")
    elif name == "command":
        yield from _command((name,), value)
    elif name == "project" and value.strip():
        try:
            checked_project(value.strip())
        except ValidationError as error:
            yield SpecProblem(name, error.detail)


def _mapping_problems(spec: WorkloadSpec) -> Iterator[SpecProblem]:
    for field in (field.name for field in SPEC_FIELDS if field.kind == "mapping"):
        value: object = getattr(spec, field)
        if value is None:
            continue
        if not isinstance(value, Mapping):
            yield SpecProblem(field, f"{field} must be a mapping; got {type(value).__name__}")
            continue
        try:
            opened = loads(dumps(value, field), field)
        except ValidationError as error:
            yield SpecProblem(field, error.detail)
            continue
        yield from (
            SpecProblem(field, message, path) for path, message in not_finite(value, (field,))
        )
        yield from secret_problems(field, opened)
        if field == "config":
            yield from _config_problems(opened)


def _config_problems(config: Mapping[str, object]) -> Iterator[SpecProblem]:
    """Yield the problems of the keys of ``config`` that have fields of their own in a spec."""
    for key in (field.wire for field in CONFIG_FIELDS):
        value = config.get(key)
        if value is not None and not isinstance(value, str):
            yield SpecProblem(
                "config",
                f"config.{key} must be a string; got {type(value).__name__}",
                ("config", key),
            )
        elif key == "command" and value is not None:
            yield from _command(("config", key), value)


def _command(path: Path, command: str) -> Iterator[SpecProblem]:
    problem = command_problem(command)
    if problem is not None:
        yield SpecProblem(str(path[0]), f"{'.'.join(map(str, path))} {problem}", path)


def _enum_problems(spec: WorkloadSpec) -> Iterator[SpecProblem]:
    for field in SPEC_FIELDS:
        if field.kind != "enum" or field.values is None:
            continue
        value: object = getattr(spec, field.name)
        if is_secret(str(value)):
            yield _secret(field.name)
        elif value is not None or field.required:
            try:
                member(field.values, value, field.name)
            except ValidationError as error:
                yield SpecProblem(field.name, error.detail)


def _backend_problems(spec: WorkloadSpec) -> Iterator[SpecProblem]:
    backend = cast("object", spec.backend)
    if not isinstance(backend, str) or not backend.strip() or is_secret(backend):
        return
    if canonical_slug(backend) != backend:
        meant = did_you_mean(backend, Backend)
        yield SpecProblem(
            "backend",
            f"backend must be a slug such as 'vllm' or 'my-backend'; got {backend!r}{meant}",
        )
        return
    for field in SPEC_FIELDS:
        value: object = getattr(spec, field.name)
        if not isinstance(value, str):
            continue
        if not field.applies_to(backend):
            backends = " and ".join(field.backends)
            yield SpecProblem(
                field.name,
                f"{field.name} applies to the backends {backends} only; "
                f"leave it out for {str(backend)!r}",
            )
        elif field.name == "vllm_version" and value.split() != [value]:
            yield SpecProblem(
                field.name,
                f"vllm_version must be a version such as '0.9.2', without spaces; got {value!r}",
            )


def _policy_problems(spec: WorkloadSpec) -> Iterator[SpecProblem]:
    kind, config = spec.execution_policy, cast("object", spec.execution_policy_config)
    if not isinstance(kind, ExecutionPolicy) or not (config is None or isinstance(config, Mapping)):
        return
    try:
        opened = plain(config, "execution_policy_config")
    except ValidationError:
        return  # `_mapping_problems` reports it
    yield from (
        SpecProblem(str(path[0]), message, path) for path, message in policy_problems(kind, opened)
    )


def _secrets_inside(value: object, path: Path) -> Iterator[Path]:
    """Yield the paths of tokens.

    Mappings have commands, arguments and environments in them, so a token anywhere in a string
    counts.
    """
    if isinstance(value, str):
        if contains_token_start(value):
            yield path
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            if contains_token_start(key):
                yield path
            yield from _secrets_inside(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from _secrets_inside(inner, (*path, index))


def _secret(field: str, path: Path | None = None) -> SpecProblem:
    path = path or (field,)
    name = ".".join(map(str, path))
    return SpecProblem(field, f"{name} contains a token; {SECRET}", path, secret=True)


def resolve_project(call: str | None, spec: str | None, client: str | None) -> str:
    """Return the project of a spec: the call's, else the spec's, else the client's.

    Raises:
        ConfigurationError: there is none, or the call's and the spec's differ.
        ValidationError: it cannot be part of a URL's path.
    """
    call = (call or "").strip() or None
    spec = (spec or "").strip() or None
    if call is not None and spec is not None and call != spec:
        raise ConfigurationError.of(
            f"project={redact(call)!r} was passed, but the spec has project={redact(spec)!r}; "
            "remove one of them."
        )
    project = call or spec or client
    if project is None:
        raise ConfigurationError(
            "No project configured. Set INFERENCEKEY_PROJECT, pass project=, or set spec.project."
        )
    return checked_project(project)
