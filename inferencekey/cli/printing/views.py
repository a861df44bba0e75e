"""A workload as values for JSON, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from inferencekey.models import Workload

__all__ = ["workload_dict", "workload_lines"]


def workload_dict(workload: Workload) -> dict[str, Any]:
    """Return the fields of the platform's contract; times are RFC 3339."""
    import attrs

    found = attrs.asdict(workload, recurse=False)
    found.pop("raw")
    for name in ("created_at", "updated_at"):
        if found[name] is not None:
            found[name] = found[name].isoformat()
    for name in ("task_type", "backend", "execution_policy"):
        if found[name] is not None:
            found[name] = str(found[name])
    return found


def workload_lines(workload: Workload) -> Iterator[str]:
    """Yield one line for each field that has a value, and for each key of a mapping."""
    for name, value in workload_dict(workload).items():
        yield from _lines(name, value)


def _lines(path: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, dict) and value:
        for key, below in cast("Mapping[str, Any]", value).items():
            yield from _lines(f"{path}.{key}", below)
        return
    yield f"{path}: {value}"
