"""The JSON Schema of a manifest, generated from the models, for editors.

An editor sees one file, and not the ``[defaults]`` that another file of a directory may have.
So the schema requires fields only in a file with ``project`` and without ``defaults``.
Loading is stricter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from inferencekey.manifest.entry import DEFAULTS, FIELDS
from inferencekey.models import ExecutionPolicy
from inferencekey.models.workload_fields import WORKLOAD_FIELDS, WorkloadField

__all__ = ["manifest_schema"]

Schema = dict[str, Any]

_VARIABLE: Final[Schema] = {"type": "string", "pattern": r"\$\{"}
_TEXT: Final[Schema] = {"type": "string"}
_FULL: Final[Schema] = {"type": "string", "pattern": r"\S"}
_TEXTS: Final[Schema] = {"type": "array", "items": _FULL, "minItems": 1}
_ABOVE_ZERO: Final[Schema] = {"type": "number", "exclusiveMinimum": 0}


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a manifest."""
    entry: Schema = {"$ref": "#/$defs/workload"}
    complete: Schema = {"allOf": [entry, {"$ref": "#/$defs/complete"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "inferencekey manifest",
        "description": "The workloads of a project, as `inferencekey apply` creates them.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "$schema": {"type": "string", "description": "This schema, for editors."},
            "project": {**_FULL, "description": "The project that the workloads live in."},
            "defaults": {
                "description": "Fields of every workload that does not set them itself; "
                "mappings merge by key.",
                **_mapping({name: _fields()[name] for name in DEFAULTS}),
            },
            "workloads": {"type": "array", "description": "The workloads.", "items": entry},
        },
        "if": {"required": ["project"], "not": {"required": ["defaults"]}},
        "then": {"properties": {"workloads": {"items": complete}}},
        "$defs": {
            "workload": {
                **_mapping(_fields()),
                "anyOf": _needs("name", "slug"),
                "allOf": _policies(complete=False),
            },
            "complete": {"required": ["model", "backend"], "allOf": _policies(complete=True)},
            **{f"policy-{kind}": shape for kind, shape in _SHAPES.items()},
        },
    }


def _mapping(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}


def _needs(*names: str) -> list[Schema]:
    return [{"required": [name]} for name in names]


def _fields() -> dict[str, Schema]:
    fields = {field.name: field for field in WORKLOAD_FIELDS}
    return {
        name: {"description": _sentence(fields[name].doc), **_field(fields[name])}
        for name in FIELDS
    }


def _field(field: WorkloadField) -> Schema:
    if field.kind == "mapping":
        return {"type": ["object", "null"]}
    if field.values is None:
        # An optional field may be null: that removes a default.
        return _FULL if field.required_in_spec else {"type": ["string", "null"]}
    if field.kind == "enum":
        return {"anyOf": [*_one_of(field.values), {"type": "null"}]}
    # Any other slug is a custom backend; the known ones are there to be offered.
    slug = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}
    return {"anyOf": [*_one_of(field.values), slug]}


def _one_of(kind: type[StrEnum]) -> list[Schema]:
    return [{"enum": [str(one) for one in kind]}, _VARIABLE]


def _sentence(text: str) -> str:
    text = re.sub(r":\w+:`([^`]*)`", r"\1", text).replace("``", "")
    return text[:1].upper() + text[1:]


def _policies(*, complete: bool) -> list[Schema]:
    """Return the rules for the settings of each kind of policy.

    Args:
        complete: require the settings, instead of describing them.
    """
    rules: list[Schema] = []
    for kind in ExecutionPolicy:
        condition = {
            "properties": {"execution_policy": {"const": str(kind)}},
            "required": ["execution_policy"],
        }
        shape = {"anyOf": [{"$ref": f"#/$defs/policy-{kind}"}, {"type": "null"}]}
        rules.append({"if": condition, "then": _COMPLETE[kind] if complete else _settings(shape)})
    return rules


def _settings(shape: Schema) -> Schema:
    return {"properties": {"execution_policy_config": shape}}


def _required(needs: Schema) -> Schema:
    return {"required": ["execution_policy_config"], **_settings({"type": "object", **needs})}


def _integer(at_least: int) -> Schema:
    return {"type": "integer", "minimum": at_least}


def _object(properties: Mapping[str, Schema], **rules: Any) -> Schema:
    return {**_mapping(properties), **rules}


_COMPLETE: Final[Mapping[ExecutionPolicy, Schema]] = {
    ExecutionPolicy.FIXED: _settings({"required": ["replicas"]}),
    ExecutionPolicy.SCHEDULED: _required({"oneOf": _needs("cron", "window")}),
    ExecutionPolicy.AUTOSCALING: _required(
        {
            "required": ["min_workers", "max_workers", "workers"],
            "properties": {"workers": {"required": ["source"]}},
            "oneOf": [
                {
                    "required": ["max_hourly_cost_usd"],
                    "properties": {
                        "workers": {
                            "properties": {
                                "source": {"const": "cloud"},
                                "cloud_pool": {
                                    "required": ["gpu_pool", "max_hourly_cost_usd", "max_instances"]
                                },
                            },
                            "required": ["cloud_pool"],
                        }
                    },
                },
                {
                    "properties": {
                        "workers": {
                            "properties": {"source": {"const": "private"}},
                            "required": ["private_worker_ids"],
                        }
                    }
                },
            ],
        }
    ),
}

_POOL: Final[Schema] = _object(
    {
        "gpu_pool": _TEXTS,
        "max_hourly_cost_usd": _ABOVE_ZERO,
        "max_instances": _integer(1),
        "allowed_cuda_versions": _TEXTS,
    }
)
_CRON: Final = r"^\s*\S+(\s+\S+){4}\s*$"
_WINDOW: Final = (
    r"^\s*(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))?"
    r"\s+[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]\s+\S+\s*$"
)
_SHAPES: Final[Mapping[ExecutionPolicy, Schema]] = {
    ExecutionPolicy.FIXED: _object({"replicas": _integer(1)}),
    ExecutionPolicy.SCHEDULED: _object(
        {
            "cron": {**_TEXT, "anyOf": [{"pattern": _CRON}, _VARIABLE], "examples": ["0 2 * * *"]},
            "window": {
                **_TEXT,
                "anyOf": [{"pattern": _WINDOW}, _VARIABLE],
                "examples": ["Mon-Fri 08:00-20:00 Europe/Madrid"],
            },
        },
        **{"not": {"required": ["cron", "window"]}},
    ),
    ExecutionPolicy.AUTOSCALING: _object(
        {
            "min_workers": _integer(0),
            "max_workers": _integer(1),
            "max_hourly_cost_usd": _ABOVE_ZERO,
            "workers": _object(
                {
                    "source": {"enum": ["cloud", "private"]},
                    "cloud_pool": _POOL,
                    "private_worker_ids": _TEXTS,
                },
            ),
        }
    ),
}
