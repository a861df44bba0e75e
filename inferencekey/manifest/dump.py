"""From specs to the text of a manifest, and from live workloads to specs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

from inferencekey._core.control.policies import known_settings
from inferencekey._core.control.specs import SECRET, spec_problems
from inferencekey._core.json import plain
from inferencekey.credentials import redact
from inferencekey.errors import ConfigurationError, ValidationError
from inferencekey.manifest.variables import escaped
from inferencekey.models import ExecutionPolicy, Workload, WorkloadSpec
from inferencekey.models.spec import SPEC_FIELDS
from inferencekey.models.toml import escaped_controls, toml_text
from inferencekey.models.workload_fields import CONFIG_FIELDS
from inferencekey.printable import INVALID_UNICODE, printable, surrogate_paths

__all__ = ["FORMATS", "Format", "dump_manifest", "spec_of"]

Format = Literal["toml", "yaml", "json"]
FORMATS: Final[tuple[Format, ...]] = ("toml", "yaml", "json")


def dump_manifest(
    project: str | None, specs: Iterable[WorkloadSpec], format: Format = "toml"
) -> str:
    """Return the text of a manifest that loads as these specs.

    Args:
        project: the manifest's project; a spec that names another keeps it.
        specs: the workloads, in order.
        format: ``"toml"``, ``"yaml"`` or ``"json"``.

    Raises:
        ConfigurationError: a spec has a credential, or *format* is YAML and the library for it is
            not installed.
        ValidationError: a spec is not valid, or has a value that the format does not have (TOML has
            no null); the message names the workload.
    """
    if format not in FORMATS:
        raise ValidationError.of(f"format must be one of {', '.join(FORMATS)}; got {format!r}")
    if project is not None:
        _check_characters({"project": project}, "the manifest")
    workloads = [_entry(spec, project) for spec in specs]
    values: dict[str, Any] = {} if project is None else {"project": escaped(project)}
    values["workloads"] = workloads
    if format == "json":
        return escaped_controls(json.dumps(values, indent=2, ensure_ascii=False)) + "\n"
    if format == "yaml":
        from inferencekey.manifest.formats.yaml_format import yaml_text

        return yaml_text(values)
    for spec in workloads:
        _check_toml(spec)
    return toml_text(values, tables=("workloads",))


def spec_of(workload: Workload) -> WorkloadSpec:
    """Return the spec of a live workload; ``ensure`` of it changes nothing.

    ``command`` and ``vllm_version`` are taken out of ``config``. Nulls are left out, and so are a
    blank command and settings of a policy that only the server knows.

    Raises:
        ConfigurationError: the workload has a credential, which must not be written to a file.
        ValidationError: this version does not know some value of the workload, so that no spec can
            describe it.
    """
    config = dict(cast("Mapping[str, Any]", _without_null(workload.config or {})))
    values: dict[str, Any] = {
        field.name: getattr(workload, field.wire) for field in SPEC_FIELDS if field.stored == "body"
    }
    for field in CONFIG_FIELDS:
        if field.applies_to(workload.backend) and isinstance(config.get(field.wire), str):
            text = config.pop(field.wire)
            values[field.name] = text if text.strip() else None
    values["config"] = config or None
    settings = _without_null(workload.execution_policy_config)
    if isinstance(workload.execution_policy, ExecutionPolicy) and settings is not None:
        settings = known_settings(workload.execution_policy, settings)
    values["execution_policy_config"] = settings
    spec = WorkloadSpec(**values)
    _check(spec)
    return spec


def _check(spec: WorkloadSpec) -> None:
    problems = spec_problems(spec)
    reasons = "; ".join(problem.message for problem in problems)
    # A spec's text may mention a token; a file that is committed must not hold one.
    mentions = [
        name
        for name, value in spec.to_dict().items()
        if isinstance(value, str) and redact(value) != value
    ]
    if mentions and not reasons:
        reasons = f"{', '.join(mentions)} contains a token; {SECRET}"
    message = f"the workload {spec.slug!r} cannot be written to a manifest: {reasons}"
    if mentions or any(problem.secret for problem in problems):
        raise ConfigurationError.of(message)
    if problems:
        raise ValidationError.of(message)


def _check_characters(value: object, what: str) -> None:
    for path in surrogate_paths(value):
        field = printable(".".join(map(str, path)))
        raise ValidationError.of(f"{what}: {field} contains {INVALID_UNICODE}")


def _entry(spec: WorkloadSpec, project: str | None) -> dict[str, Any]:
    _check_characters(spec.to_dict(), f"the workload {spec.slug!r}")
    _check(spec)
    values = cast("dict[str, Any]", plain(spec.to_dict(), "the spec"))
    if values.get("project") == project:
        values.pop("project", None)
    return cast("dict[str, Any]", _escaped(values))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in cast("list[Any]", value)]
    return value


def _without_null(value: Any) -> Any:
    """Return a mapping without the nulls in it and in its mappings.

    Lists stay as they are, because they are compared as a whole.
    """
    if not isinstance(value, Mapping):
        return value
    values = cast("Mapping[str, Any]", value)
    return {key: _without_null(inner) for key, inner in values.items() if inner is not None}


def _check_toml(values: dict[str, Any]) -> None:
    try:
        toml_text(values)
    except ValidationError as error:
        message = f"the workload {values['slug']!r}: {error.detail}; use YAML or JSON"
        raise ValidationError.of(message) from None
