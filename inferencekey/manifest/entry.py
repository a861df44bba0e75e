"""One workload of a manifest: what it says over the defaults, where each of it stands, and the spec it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import attrs

from inferencekey._core.control.specs import SpecProblem, spec_problems
from inferencekey._core.slugs import canonical_slug
from inferencekey.manifest.problems import ManifestProblem
from inferencekey.manifest.source import Keys, Source
from inferencekey.models import Backend, WorkloadSpec, known_or_text
from inferencekey.models.nearest import one_of_these

__all__ = ["DEFAULTS", "FIELDS", "Table", "Workload", "default_problems", "unknown_keys"]

FIELDS: Final = tuple(field.name for field in attrs.fields(WorkloadSpec))
DEFAULTS: Final = tuple(name for name in FIELDS if name not in ("name", "slug", "project"))

_POLICY: Final = "; it goes into execution_policy_config"
_HINTS: Final = {
    "model_name": "; write model",
    "type": "; write task_type",
    **dict.fromkeys(
        ("replicas", "cron", "window", "min_workers", "max_workers", "workers"), _POLICY
    ),
}
# What stands for a field that is missing, or wrong in a way that is said already, while the others are checked.
_STAND_INS: Final[Mapping[str, Any]] = {"name": "x", "slug": "x", "model": "x", "backend": "x"}


@attrs.frozen
class Table:
    """A mapping in a file: its values and where it stands."""

    source: Source
    keys: Keys
    values: Mapping[str, Any]

    def problem(self, path: Keys, message: str) -> ManifestProblem:
        """Return a problem at a value in the table, or at the nearest around it."""
        return self.source.problem((*self.keys, *path), message)

    def spoiled(self, path: Keys) -> bool:
        """Say whether something is wrong already with this value, or with one around it."""
        keys = (*self.keys, *path)
        return any(keys[:length] in self.source.spoiled for length in range(len(keys) + 1))

    def depth(self, path: Keys) -> int:
        """Return how many steps of a way there are in the table."""
        value: Any = self.values
        for length, step in enumerate(path):
            if isinstance(value, Mapping):
                found = step in value
            else:
                found = (
                    isinstance(value, list)
                    and isinstance(step, int)
                    and step < len(cast("list[Any]", value))
                )
            if not found:
                return length
            value = cast("Any", value)[step]
        return len(path)


def unknown_keys(
    table: Table, known: tuple[str, ...], where: str, hints: Mapping[str, str]
) -> Iterator[ManifestProblem]:
    """Yield a problem for each key that is not known, with the one most like it."""
    for key in table.values:
        if key not in known:
            yield table.problem(
                (key,), f"{key} is not a {where}{hints.get(key) or one_of_these(key, known)}"
            )


def default_problems(table: Table) -> Iterator[ManifestProblem]:
    """Yield what is wrong with the defaults by themselves; what they make with a workload is the workload's to say."""
    hints = {
        **_HINTS,
        "project": "; it goes to the top of the manifest",
        **dict.fromkeys(("name", "slug"), "; each workload has its own"),
    }
    yield from unknown_keys(table, DEFAULTS, "field that has a default", hints)
    fields = {
        name: value
        for name, value in table.values.items()
        if name in DEFAULTS and value is not None
    }
    for problem in spec_problems(WorkloadSpec(**{**_STAND_INS, **fields})):
        whole = problem.field in ("execution_policy_config", "vllm_version") and not problem.secret
        if problem.field in fields and not whole and not table.spoiled(problem.path):
            yield table.problem(problem.path, _worded(problem, fields))


@attrs.frozen
class Workload:
    """An entry of ``workloads``, over the defaults."""

    table: Table
    defaults: Table
    project: str | None

    @property
    def spec(self) -> WorkloadSpec:
        """The spec; with stand-ins where :meth:`problems` has something to say."""
        fields = self._fields()
        name, slug = fields.get("name"), fields.get("slug")
        if slug is None and isinstance(name, str):
            fields["slug"] = canonical_slug(name) or "x"
        if name is None and isinstance(slug, str):
            fields["name"] = slug
        values: dict[str, Any] = {**_STAND_INS, "project": self.project, **fields}
        return WorkloadSpec(**values)

    def problems(self) -> Iterator[ManifestProblem]:
        """Yield everything that is wrong with it."""
        yield from unknown_keys(self.table, FIELDS, "field of a workload", _HINTS)
        fields = self._fields()
        name = fields.get("name")
        if name is None and fields.get("slug") is None:
            yield self.table.problem(
                (), "a workload needs a name (its slug follows from it) or a slug"
            )
        elif (
            fields.get("slug") is None
            and isinstance(name, str)
            and name.strip()
            and not canonical_slug(name)
        ):
            yield self.problem(
                ("name",), f"name {name!r} has no letter or digit to make a slug of; write slug"
            )
        for field in ("model", "backend"):
            if fields.get(field) is None:
                yield self.table.problem((), f"{field} is required")
        for problem in spec_problems(self.spec):
            if not self.spoiled(problem.path) and (
                problem.field != "project" or "project" in fields
            ):
                yield self.problem(problem.path, _worded(problem, fields))

    def problem(self, path: Keys, message: str) -> ManifestProblem:
        """Return a problem at a value, where it stands: here or in the defaults."""
        table = self._table_of(path)
        return table.problem(path[: table.depth(path)], message)

    def spoiled(self, path: Keys) -> bool:
        """Say whether something is wrong already with this value."""
        table = self._table_of(path)
        return table.spoiled(path[: table.depth(path)])

    def _table_of(self, path: Keys) -> Table:
        return self.defaults if self.defaults.depth(path) > self.table.depth(path) else self.table

    def _fields(self) -> dict[str, Any]:
        own = {name: value for name, value in self.table.values.items() if name in FIELDS}
        defaults = {name: value for name, value in self.defaults.values.items() if name in DEFAULTS}
        kind, default_kind = own.get("execution_policy"), defaults.get("execution_policy")
        if kind is not None and default_kind is not None and kind != default_kind:
            # One kind's settings mean nothing to another.
            defaults.pop("execution_policy_config", None)
        fields = {
            name: value for name, value in _merged(defaults, own).items() if value is not None
        }
        backend = known_or_text(Backend, fields.get("backend", ""))
        if "vllm_version" not in own and backend not in (Backend.VLLM, Backend.VLLM_OMNI):
            # A default for the workloads to which it means something.
            fields.pop("vllm_version", None)
        return fields


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        before = merged.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            merged[key] = _merged(
                cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", value)
            )
        else:
            merged[key] = value
    return merged


def _worded(problem: SpecProblem, fields: Mapping[str, Any]) -> str:
    value = fields.get(problem.field)
    if (
        len(problem.path) == 1
        and isinstance(value, (int, float))
        and " must be a string" in problem.message
    ):
        return f"{problem.message}; write it in quotes"
    return problem.message
