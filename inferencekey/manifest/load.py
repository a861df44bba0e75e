"""From a manifest file, or a directory of them, to checked specs, or to all its mistakes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import attrs

from inferencekey._core.control.spec_warnings import spec_advice
from inferencekey._core.control.specs import SECRET
from inferencekey._core.slugs import canonical_slug, checked_project
from inferencekey.credentials import contains_token_start
from inferencekey.errors import ValidationError
from inferencekey.manifest.entry import (
    FIELDS,
    Table,
    WorkloadEntry,
    default_problems,
    unknown_keys,
)
from inferencekey.manifest.expand import expanded_source
from inferencekey.manifest.problems import ManifestError, ManifestProblem
from inferencekey.manifest.source import SUFFIXES, Source, read_source
from inferencekey.models import WorkloadSpec

__all__ = ["Manifest", "Place", "find_manifest", "load_manifest"]

_TOP: Final = ("project", "defaults", "workloads", "$schema")
_NAME: Final = "inferencekey"
_HINTS: Final = {
    **dict.fromkeys(FIELDS, "; put it into a workload or into defaults"),
    "workload": "; write [[workloads]] (in YAML and JSON, a list `workloads`)",
}


@attrs.frozen
class Place:
    """The place of a workload in the manifest.

    Args:
        path: the file.
        line: the line, from 1.
    """

    path: Path
    line: int | None

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}:{self.line}"


@attrs.frozen
class Manifest:
    """The workloads that a manifest declares.

    Args:
        path: the file or directory it was read from.
        project: the top-level ``project``, if any.
        specs: the workloads, in the order of the manifest; each has its project, if the manifest
            names one.
        places: the file and line of each.
        sources: the files that were read.
        warnings: what is allowed but probably not intended, each with its place.
    """

    path: Path
    project: str | None
    specs: tuple[WorkloadSpec, ...]
    places: tuple[Place, ...]
    sources: tuple[Path, ...]
    warnings: tuple[ManifestProblem, ...] = ()

    @property
    def lock_path(self) -> Path:
        """Its lock file: for ``inferencekey.toml`` it is ``inferencekey.lock`` beside it.

        Each manifest has its own, so that none removes what another one created: ``staging.toml``
        has ``staging.toml.lock``, ``staging.yaml`` has ``staging.yaml.lock``, a directory has
        ``inferencekey-directory.lock`` in it. Only ``inferencekey.lock`` is the lock file of that
        name in every format.
        """
        if self.path not in self.sources:
            return self.path / f"{_NAME}-directory.lock"
        return self.path.with_name(f"{_NAME if self.path.stem == _NAME else self.path.name}.lock")


def find_manifest(folder: str | os.PathLike[str] = ".") -> Path:
    """Return the manifest of a folder: ``inferencekey.toml``, ``.yaml``, ``.yml`` or ``.json``.

    Raises:
        ManifestError: there is none, or more than one.
    """
    paths = (Path(folder, _NAME + suffix) for suffix in SUFFIXES)
    found = [path for path in paths if path.is_file()]
    if len(found) == 1:
        return found[0]
    if not found:
        names = ", ".join(_NAME + suffix for suffix in SUFFIXES)
        raise _failed(
            Path(folder), f"has no manifest; create one ({names}), or pass its path (-f FILE)"
        )
    names = " and ".join(path.name for path in found)
    raise _failed(Path(folder), f"has {names}; keep one of them, or pass a path (-f FILE)")


def load_manifest(
    path: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
) -> Manifest:
    """Read a manifest: a ``.toml``, ``.yaml``, ``.yml`` or ``.json`` file, or a directory of them.

    Args:
        path: the file or directory; by default the one that ``find_manifest()`` returns. Of a
            directory, all manifest files directly in it are read, in the order of their names;
            ``project`` and ``defaults`` may be in one of them only, and apply to all.
        environ: the variables for ``${VAR}``; by default the environment's.

    Raises:
        ManifestError: something is wrong with it: all of it, with file and line.
        ConfigurationError: it is YAML, and the library for it is not installed.
    """
    path = find_manifest() if path is None else Path(path)
    return _Loader(path, os.environ if environ is None else environ).load()


def _failed(path: Path, message: str) -> ManifestError:
    return ManifestError(problems=[ManifestProblem(path, None, message)])


def _files(path: Path) -> tuple[Path, ...]:
    if not path.exists():
        raise _failed(path, "does not exist")
    if not path.is_dir():
        if path.suffix not in SUFFIXES:
            raise _failed(path, f"the name of a manifest must end in one of {', '.join(SUFFIXES)}")
        return (path,)
    files = sorted(
        file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise _failed(path, f"has no manifest file ({', '.join(SUFFIXES)})")
    return tuple(files)


class _Loader:
    """One load: it collects every problem instead of stopping at the first."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self.environ = environ
        self.problems: list[ManifestProblem] = []
        self.project: str | None = None
        self.defaults: Table | None = None
        self.places: dict[str, Place] = {}  # of the keys that only one file may have
        self.tables: list[Table] = []

    def load(self) -> Manifest:
        files = _files(self.path)
        for file in files:
            self.read_file(file)
        entries = [self.entry(table) for table in self.tables]
        for entry in entries:
            self.problems.extend(entry.problems())
        self.check_slugs(entries)
        if self.problems:
            order = {file: number for number, file in enumerate(files)}
            # A problem of the defaults is found again with every workload.
            unique = dict.fromkeys(self.problems)
            raise ManifestError(
                problems=sorted(unique, key=lambda one: (order[one.path], one.line or 0))
            )
        return Manifest(
            self.path,
            self.project,
            tuple(entry.spec for entry in entries),
            tuple(_place(entry.table) for entry in entries),
            files,
            _warnings(entries),
        )

    def read_file(self, file: Path) -> None:
        try:
            source = read_source(file)
            if isinstance(source, Source):
                self.take_file(source)
            else:
                self.problems.extend(source)
        except RecursionError:
            self.problems.append(ManifestProblem(file, None, "is nested too deeply"))

    def take_file(self, read: Source) -> None:
        """Take the keys at the top of a file."""
        source, problems = expanded_source(read, self.environ)
        self.problems.extend(problems)
        if source.values is None:  # an empty YAML file
            return
        if not isinstance(cast("object", source.values), dict):
            message = "a manifest must be a mapping with project, defaults and workloads"
            self.problems.append(source.problem((), message))
            return
        table = Table(source, (), cast("dict[str, Any]", source.values))
        self.problems.extend(unknown_keys(table, _TOP, "key of a manifest", _HINTS))
        if "project" in table.values and self.is_first(table, "project"):
            self.take_project(table, table.values["project"])
        if "defaults" in table.values and self.is_first(table, "defaults"):
            self.take_defaults(table, table.values["defaults"])
        if "workloads" in table.values:
            self.take_workloads(table, table.values["workloads"])

    def is_first(self, table: Table, key: str) -> bool:
        """Return whether no earlier file has this key; report it otherwise."""
        place = Place(table.source.path, table.source.line((key,)))
        first = self.places.setdefault(key, place)
        if first is not place:
            message = f"{key} is set in {first} already; keep one of the two"
            self.problems.append(table.problem((key,), message))
        return first is place

    def take_project(self, table: Table, value: object) -> None:
        if table.has_problem(("project",)):
            return
        if isinstance(value, str) and contains_token_start(value):
            self.problems.append(table.problem(("project",), f"project contains a token; {SECRET}"))
            return
        try:
            self.project = checked_project(cast("str", value))
        except ValidationError as error:
            self.problems.append(table.problem(("project",), error.detail))

    def take_defaults(self, table: Table, value: object) -> None:
        if not isinstance(value, dict):
            message = "defaults must be a mapping of a workload's fields"
            self.problems.append(table.problem(("defaults",), message))
            return
        self.defaults = Table(table.source, ("defaults",), cast("dict[str, Any]", value))
        self.problems.extend(default_problems(self.defaults))

    def take_workloads(self, table: Table, value: object) -> None:
        if not isinstance(value, list):
            message = (
                "workloads must be a list; in TOML, write [[workloads]] with two brackets before "
                "each"
            )
            self.problems.append(table.problem(("workloads",), message))
            return
        for index, entry in enumerate(cast("list[object]", value)):
            keys = ("workloads", index)
            if isinstance(entry, dict):
                self.tables.append(Table(table.source, keys, cast("dict[str, Any]", entry)))
            else:
                message = "a workload must be a mapping of its fields"
                self.problems.append(table.problem(keys, message))

    def entry(self, table: Table) -> WorkloadEntry:
        defaults = self.defaults or Table(table.source, ("defaults",), {})
        return WorkloadEntry(table, defaults, self.project)

    def check_slugs(self, entries: Sequence[WorkloadEntry]) -> None:
        """Report every workload whose slug an earlier one of its project has."""
        first: dict[tuple[object, str], Place] = {}
        for entry in entries:
            table, spec = entry.table, entry.spec
            key = "slug" if "slug" in table.values else "name"
            if key not in table.values or table.has_problem((key,)):
                continue
            if not isinstance(cast("object", spec.slug), str):
                continue
            slug, place = canonical_slug(spec.slug), _place(table)
            earlier = first.setdefault((spec.project, slug), place)
            if slug and earlier is not place:
                message = (
                    f"the workload at {earlier} has the slug {slug!r} already; "
                    "change one of the two slugs"
                )
                self.problems.append(table.problem((key,), message))


def _place(table: Table) -> Place:
    return Place(table.source.path, table.source.line(table.keys))


def _warnings(entries: Sequence[WorkloadEntry]) -> tuple[ManifestProblem, ...]:
    found = (
        entry.problem(advice.path, advice.message)
        for entry in entries
        for advice in spec_advice(entry.spec)
    )
    # A warning about the defaults is found with every workload, and reported once.
    return tuple(dict.fromkeys(found))
