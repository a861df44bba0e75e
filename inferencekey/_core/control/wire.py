"""The control plane's JSON becomes models.

cattrs structures the values. Unknown fields stay in ``raw``, and unknown strings of enums stay
strings, so that a newer server can be read. A missing field or one of the wrong type is a typed
error that names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache, partial
from typing import Any, cast

import attrs
from cattrs import Converter, transform_error
from cattrs.gen import make_dict_structure_fn, override
from cattrs.v import format_exception

from inferencekey._core.json import as_integer, as_mapping, as_string, loads, preview
from inferencekey.errors import ResponseFormatError
from inferencekey.models import (
    EngineLog,
    Phase,
    ReadinessEvent,
    Workload,
    known_or_text,
)
from inferencekey.models.workload_fields import WORKLOAD_FIELDS

__all__ = [
    "engine_log",
    "find_workload",
    "readiness_event",
    "slugs_of",
    "workload",
    "workload_list",
    "workloads_by_slug",
]


@cache
def converter() -> Converter:
    """Return the one converter of the control plane."""
    made = Converter(detailed_validation=True)
    made.register_structure_hook(str, _text)
    for kind in (field.values for field in WORKLOAD_FIELDS if field.values is not None):
        structure = partial(_known_or_text, kind)
        made.register_structure_hook(cast("Any", kind | str), structure)
        made.register_structure_hook(cast("Any", kind | str | None), structure)
    made.register_structure_hook(datetime, lambda value, _: _moment(value))
    made.register_structure_hook_func(
        lambda kind: kind == Mapping[str, Any], lambda value, _: _object(value)
    )
    made.register_structure_hook(
        Workload, make_dict_structure_fn(Workload, made, raw=override(omit=True))
    )
    return made


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a string, not {type(value).__name__}")
    return value


def _known_or_text(kind: type[StrEnum], value: Any, _: Any) -> str:
    return known_or_text(kind, _text(value, str))


def _object(value: Any) -> Mapping[str, Any]:
    found = as_mapping(value)
    if found is None:
        raise TypeError(f"must be an object, not {type(value).__name__}")
    return found


def _moment(value: Any) -> datetime:
    text = _text(value, str)
    try:
        return datetime.fromisoformat(text.upper())  # RFC 3339 allows "t" and "z"
    except ValueError:
        raise ValueError(f"must be a date and time, not {preview(text.encode(), 40)}") from None


def workload(raw: Any) -> Workload:
    """Return a workload from its JSON.

    Raises:
        ResponseFormatError: it is not an object, or a field is missing or of the wrong type. The
            message names it.
    """
    body = as_mapping(raw)
    if body is None:
        raise ResponseFormatError.of("a workload is not a JSON object")
    known = {name: body[name] for name in _FIELDS if body.get(name) is not None}
    if "slug" not in known and isinstance(body.get("workload_slug"), str):
        known["slug"] = body["workload_slug"]
    try:
        found = converter().structure(known, Workload)
    except Exception as error:  # cattrs raises groups of any exceptions
        raise ResponseFormatError.of(f"a workload: {_reasons(error)}") from None
    return attrs.evolve(found, raw=body)


_FIELDS = tuple(a.name for a in attrs.fields(Workload) if a.name != "raw")


def _reasons(error: Exception) -> str:
    reasons: list[str] = []
    for text in transform_error(error, path="$", format_exception=_reason):
        reason, _, path = text.partition(" @ $.")
        reasons.append(f"{path}: {reason}" if path else reason)
    return "; ".join(reasons)


def _reason(error: BaseException, kind: type | None) -> str:
    # The hooks above have messages of their own; cattrs would replace them by Python's type names.
    if isinstance(error, (TypeError, ValueError)):
        return str(error)
    return format_exception(error, kind)


def workload_list(raw: Any) -> list[Any]:
    """Return the workloads' raw objects from a bare array, ``{"workloads": [...]}`` or ``null``.

    Raises:
        ResponseFormatError: it is none of the three.
    """
    body = as_mapping(raw)
    if body is not None and "workloads" in body:
        raw = body["workloads"]
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise ResponseFormatError.of(
            "the list of workloads is neither an array nor {'workloads': […]}"
        )
    return cast("list[Any]", raw)


def find_workload(raws: list[Any], slug: str) -> Workload | None:
    """Return the workload with this canonical slug.

    Only the workload that matches is structured: structuring thousands of them to find one costs
    three times as much as parsing them.
    """
    for raw in raws:
        if _slug(raw) == slug:
            return workload(raw)
    return None


def workloads_by_slug(raws: list[Any]) -> dict[str, Any]:
    """Return the raw workloads by slug, for finding many of them in one list."""
    found: dict[str, Any] = {}
    for raw in raws:
        slug = _slug(raw)
        if isinstance(slug, str):
            found.setdefault(slug, raw)
    return found


def _slug(raw: Any) -> Any:
    # This runs for every workload of a project, so it tries the usual case without checks.
    try:
        return raw["slug"] or raw.get("workload_slug")
    except KeyError:
        return raw.get("workload_slug")
    except TypeError:
        raise ResponseFormatError.of(
            "the platform's list of workloads has an item that is not a JSON object"
        ) from None


def slugs_of(raws: list[Any]) -> Iterator[str]:
    """Return an iterator over the slugs. It is lazy, because most callers never use it."""
    bodies = (as_mapping(raw) or {} for raw in raws)
    return (
        slug
        for body in bodies
        if isinstance(slug := body.get("slug") or body.get("workload_slug"), str)
    )


def readiness_event(data: bytes) -> ReadinessEvent:
    """Return the event of one readiness data line.

    Raises:
        ResponseFormatError: it is not JSON, or has no phase.
    """
    body = as_mapping(loads(data, "a readiness event"))
    phase = None if body is None else body.get("phase")
    if body is None or not isinstance(phase, str) or not phase:
        raise ResponseFormatError.of(f"a readiness event has no phase: {preview(data)}")
    step = body.get("step")
    return ReadinessEvent(
        known_or_text(Phase, phase),
        as_string(body.get("message")) or "",
        as_integer(body.get("elapsed_ms")),
        None if step is None else str(step),
    )


def engine_log(raw: Any) -> EngineLog:
    """Return the end of an engine's log from its JSON.

    Raises:
        ResponseFormatError: its lines or its position are missing or of the wrong type.
    """
    body = as_mapping(raw) or {}
    lines, position = body.get("lines"), as_integer(body.get("next"))
    if not isinstance(lines, list) or not all(
        isinstance(line, str) for line in cast("list[Any]", lines)
    ):
        raise ResponseFormatError.of("an engine's log: lines must be a list of strings")
    if position is None:
        raise ResponseFormatError.of("an engine's log: next must be an integer")
    return EngineLog(tuple(cast("list[str]", lines)), position, as_string(body.get("engine")))
