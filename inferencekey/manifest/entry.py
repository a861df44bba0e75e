"""One workload of a manifest: its own fields over the defaults, and the spec that they make."""

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
from inferencekey.models.spec import SPEC_FIELDS

__all__ = ["DEFAULTS", "FIELDS", "Table", "WorkloadEntry", "default_problems", "unknown_keys"]

FIELDS: Final = tuple(field.name for field in SPEC_FIELDS)
# A name or a slug that several workloads share would make them one workload.
DEFAULTS: Final = tuple(name for name in FIELDS if name not in ("name", "slug", "project"))

_POLICY: Final = "; put it into execution_policy_config"
_HINTS: Final = {
    "model_name": "; write model",
    "type": "; write task_type",
    **dict.fromkeys(
        ("replicas", "cron", "window", "min_workers", "max_workers", "workers"), _POLICY
    ),
}
# The value of a required field that is missing, or has a problem that is reported already, so that
# the other fields can still be checked.
_PLACEHOLDERS: Final[Mapping[str, Any]] = {
    field.name: "x" for field in SPEC_FIELDS if field.required_in_spec
}


@attrs.frozen
class Table:
    """A mapping in a file: its values, and its place."""

    source: Source
    keys: Keys
    values: Mapping[str, Any]

    def problem(self, path: Keys, message: str) -> ManifestProblem:
        """Return a problem at a value in the table, or at the nearest value around it."""
        return self.source.problem((*self.keys, *path), message)

    def has_problem(self, path: Keys) -> bool:
        """Return whether a problem with this value, or with one around it, is reported already."""
        keys = (*self.keys, *path)
        return any(keys[:length] in self.source.problematic for length in range(len(keys) + 1))

    def depth(self, path: Keys) -> int:
        """Return how many steps of a path there are in the table."""
        value: Any = self.values
        for length, step in enumerate(path):
            if not _has_step(value, step):
                return length
            value = value[step]
        return len(path)


def _has_step(value: object, step: str | int) -> bool:
    if isinstance(value, Mapping):
        return step in value
    if isinstance(value, list) and isinstance(step, int):
        return step < len(cast("list[object]", value))
    return False


def unknown_keys(
    table: Table, known: tuple[str, ...], kind: str, hints: Mapping[str, str]
) -> Iterator[ManifestProblem]:
    """Yield a problem for each key that is not known, with the known one that is most like it.

    Args:
        table: the mapping.
        known: the keys that it may have.
        kind: what a known key is called in the message.
        hints: what to write instead of some frequent mistakes.
    """
    for key in table.values:
        if key not in known:
            hint = hints.get(key) or one_of_these(key, known)
            yield table.problem((key,), f"{key} is not a {kind}{hint}")


def default_problems(table: Table) -> Iterator[ManifestProblem]:
    """Yield what is wrong with the defaults by themselves.

    Problems that only a default and a workload together make are reported for the workload.
    """
    hints = {
        **_HINTS,
        "project": "; put it at the top of the manifest",
        **dict.fromkeys(("name", "slug"), "; set it in each workload"),
    }
    yield from unknown_keys(table, DEFAULTS, "field that can have a default", hints)
    fields = {name: value for name, value in _known(table, DEFAULTS).items() if value is not None}
    for problem in spec_problems(WorkloadSpec(**{**_PLACEHOLDERS, **fields})):
        if problem.field not in fields or table.has_problem(problem.path):
            continue
        if problem.secret or problem.field not in _DEPENDENT:
            yield table.problem(problem.path, _message(problem, fields))


# Whether these fit depends on another field, which a workload may set to another value.
_DEPENDENT: Final = (
    "execution_policy_config",
    *(field.name for field in SPEC_FIELDS if field.backends),
)


@attrs.frozen
class WorkloadEntry:
    """An entry of ``workloads``, over the defaults."""

    table: Table
    defaults: Table
    project: str | None

    @property
    def spec(self) -> WorkloadSpec:
        """The spec; it has placeholders for what :meth:`problems` reports as missing."""
        fields = self._fields()
        name, slug = fields.get("name"), fields.get("slug")
        if slug is None and isinstance(name, str):
            fields["slug"] = canonical_slug(name) or _PLACEHOLDERS["slug"]
        if name is None and isinstance(slug, str):
            fields["name"] = slug
        values: dict[str, Any] = {**_PLACEHOLDERS, "project": self.project, **fields}
        return WorkloadSpec(**values)

    def problems(self) -> Iterator[ManifestProblem]:
        """Yield everything that is wrong with it."""
        yield from unknown_keys(self.table, FIELDS, "field of a workload", _HINTS)
        fields = self._fields()
        yield from self._name_problems(fields)
        for field in ("model", "backend"):
            if fields.get(field) is None:
                yield self.table.problem((), f"{field} is required")
        for problem in spec_problems(self.spec):
            if self.has_problem(problem.path):
                continue
            # A wrong project of the manifest's top is reported there.
            if problem.field != "project" or "project" in fields:
                yield self.problem(problem.path, _message(problem, fields))

    def _name_problems(self, fields: Mapping[str, Any]) -> Iterator[ManifestProblem]:
        name = fields.get("name")
        if fields.get("slug") is not None:
            return
        if name is None:
            message = "name or slug is required; the slug is made from the name"
            yield self.table.problem((), message)
        elif isinstance(name, str) and name.strip() and not canonical_slug(name):
            message = f"name {name!r} has no letter or digit to make a slug from; add slug"
            yield self.problem(("name",), message)

    def problem(self, path: Keys, message: str) -> ManifestProblem:
        """Return a problem at a value, at its place: in the workload or in the defaults."""
        table = self._table_of(path)
        return table.problem(path[: table.depth(path)], message)

    def has_problem(self, path: Keys) -> bool:
        """Return whether a problem with this value is reported already."""
        table = self._table_of(path)
        return table.has_problem(path[: table.depth(path)])

    def _table_of(self, path: Keys) -> Table:
        if self.defaults.depth(path) > self.table.depth(path):
            return self.defaults
        return self.table

    def _fields(self) -> dict[str, Any]:
        own = _known(self.table, FIELDS)
        defaults = _known(self.defaults, DEFAULTS)
        kind, default_kind = own.get("execution_policy"), defaults.get("execution_policy")
        if kind is not None and default_kind is not None and kind != default_kind:
            # Each kind of policy has settings of its own.
            defaults.pop("execution_policy_config", None)
        merged = _merged(defaults, own)
        fields = {name: value for name, value in merged.items() if value is not None}
        backend = known_or_text(Backend, fields.get("backend", ""))
        for field in SPEC_FIELDS:
            # A default for workloads of other backends. In the workload itself it is a mistake.
            if field.name not in own and not field.applies_to(backend):
                fields.pop(field.name, None)
        return fields


def _known(table: Table, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in table.values.items() if name in names}


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        before = merged.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", value)
            merged[key] = _merged(*inner)
        else:
            merged[key] = value
    return merged


def _message(problem: SpecProblem, fields: Mapping[str, Any]) -> str:
    """Return the problem's text; what YAML or TOML read as a number may lack only its quotes."""
    is_number = isinstance(fields.get(problem.field), (int, float))
    if is_number and len(problem.path) == 1 and " must be a string" in problem.message:
        return f"{problem.message}; write it in quotes"
    return problem.message
