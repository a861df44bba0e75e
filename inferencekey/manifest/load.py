"""A manifest file, or a directory of them, in; checked specs out, or everything that is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import attrs

from inferencekey._core.control.spec_warnings import spec_advice
from inferencekey._core.control.specs import SECRET
from inferencekey._core.slugs import canonical_slug, checked_project
from inferencekey.credentials import contains_token_start
from inferencekey.errors import ValidationError
from inferencekey.manifest.entry import FIELDS, Table, Workload, default_problems, unknown_keys
from inferencekey.manifest.expand import expanded_source
from inferencekey.manifest.problems import ManifestError, ManifestProblem
from inferencekey.manifest.source import SUFFIXES, Source, read_source
from inferencekey.models import WorkloadSpec

__all__ = ["Manifest", "Place", "find_manifest", "load_manifest"]

_TOP: Final = ("project", "defaults", "workloads", "$schema")
_NAME: Final = "inferencekey"
_HINTS: Final = {
    **dict.fromkeys(FIELDS, "; it goes into a workload, or into defaults"),
    "workload": "; write [[workloads]] (in YAML and JSON, a list `workloads`)",
}


@attrs.frozen
class Place:
    """Where in the manifest a workload stands.

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
        specs: the workloads, in the order of the manifest; each carries its project, where the manifest names one.
        places: where each of them stands.
        sources: the files read.
        warnings: what is allowed but probably not meant, each with its place.
    """

    path: Path
    project: str | None
    specs: tuple[WorkloadSpec, ...]
    places: tuple[Place, ...]
    sources: tuple[Path, ...]
    warnings: tuple[ManifestProblem, ...] = ()

    @property
    def lock_path(self) -> Path:
        """The lock file that goes with it: of ``inferencekey.toml`` it is ``inferencekey.lock`` beside it.

        Each manifest has its own, so that none removes what another made: ``staging.toml`` has ``staging.toml.lock``,
        ``staging.yaml`` has ``staging.yaml.lock``, a directory has ``inferencekey-directory.lock`` in it. Only
        ``inferencekey.lock`` goes with that name in any format.
        """
        if self.path not in self.sources:
            return self.path / f"{_NAME}-directory.lock"
        return self.path.with_name(f"{_NAME if self.path.stem == _NAME else self.path.name}.lock")


def find_manifest(folder: str | os.PathLike[str] = ".") -> Path:
    """Return the manifest of a folder: ``inferencekey.toml``, ``.yaml``, ``.yml`` or ``.json``.

    Raises:
        ManifestError: there is none, or more than one.
    """
    found = [path for suffix in SUFFIXES if (path := Path(folder, _NAME + suffix)).is_file()]
    if len(found) == 1:
        return found[0]
    if not found:
        names = ", ".join(_NAME + suffix for suffix in SUFFIXES)
        raise _failed(
            Path(folder), f"has no manifest; make one ({names}), or name one with -f FILE"
        )
    raise _failed(
        Path(folder),
        f"has {' and '.join(path.name for path in found)}; keep one, or name one with -f FILE",
    )


def load_manifest(
    path: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None
) -> Manifest:
    """Read a manifest: a ``.toml``, ``.yaml``, ``.yml`` or ``.json`` file, or a directory of them.

    Args:
        path: the file or directory; by default what ``find_manifest()`` returns. Of a directory, all manifest files directly in it are read, in the order of their
            names; ``project`` and ``defaults`` stand in one of them and hold for all.
        environ: the variables for ``${VAR}``; by default the environment's.

    Raises:
        ManifestError: something is wrong with it: all of it, with file and line.
        ConfigurationError: it is YAML, and the library for it is not installed.
    """
    path = find_manifest() if path is None else Path(path)
    return _Load(path, os.environ if environ is None else environ).run()


def _failed(path: Path, message: str) -> ManifestError:
    return ManifestError(problems=[ManifestProblem(path, None, message)])


def _files(path: Path) -> tuple[Path, ...]:
    if not path.exists():
        raise _failed(path, "there is no such file")
    if path.is_dir():
        files = sorted(
            file
            for file in path.iterdir()
            if file.suffix in SUFFIXES and not file.name.startswith(".")
        )
        if not files:
            raise _failed(path, f"holds no manifest ({', '.join(SUFFIXES)})")
        return tuple(files)
    if path.suffix not in SUFFIXES:
        raise _failed(path, f"a manifest's name ends in {', '.join(SUFFIXES)}")
    return (path,)


class _Load:
    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self.environ = environ
        self.problems: list[ManifestProblem] = []
        self.project: str | None = None
        self.defaults: Table | None = None
        self.first: dict[str, Place] = {}
        self.entries: list[Table] = []
        self.checked: list[Workload] = []

    def run(self) -> Manifest:
        files = _files(self.path)
        for file in files:
            try:
                source = read_source(file)
                if isinstance(source, Source):
                    self.top(source)
                else:
                    self.problems.extend(source)
            except RecursionError:
                self.problems.append(ManifestProblem(file, None, "is nested too deeply"))
        specs, places = self.workloads()
        if self.problems:
            order = {file: number for number, file in enumerate(files)}
            unique = dict.fromkeys(self.problems)
            raise ManifestError(
                problems=sorted(unique, key=lambda one: (order[one.path], one.line or 0))
            )
        advice = (
            entry.problem(one.path, one.message)
            for entry, spec in zip(self.checked, specs, strict=True)
            for one in spec_advice(spec)
        )
        warnings = tuple(dict.fromkeys(advice))  # what the defaults say is told once
        return Manifest(self.path, self.project, tuple(specs), tuple(places), files, warnings)

    def top(self, read: Source) -> None:
        """Take the keys at the top of a file."""
        source, wrong = expanded_source(read, self.environ)
        self.problems.extend(wrong)
        if source.values is None:  # an empty YAML file
            return
        if not isinstance(cast("object", source.values), dict):
            self.problems.append(
                source.problem((), "a manifest is a mapping with project, defaults and workloads")
            )
            return
        table = Table(source, (), cast("dict[str, Any]", source.values))
        self.problems.extend(unknown_keys(table, _TOP, "key of a manifest", _HINTS))
        if "project" in table.values and self.only(table, "project"):
            self.take_project(table, table.values["project"])
        if "defaults" in table.values and self.only(table, "defaults"):
            self.take_defaults(table, table.values["defaults"])
        if "workloads" in table.values:
            self.take_workloads(table, table.values["workloads"])

    def only(self, table: Table, key: str) -> bool:
        """Say whether no file before has this key."""
        place = Place(table.source.path, table.source.line((key,)))
        first = self.first.setdefault(key, place)
        if first is not place:
            self.problems.append(
                table.problem((key,), f"{key} stands in {first} as well; keep one of the two")
            )
        return first is place

    def take_project(self, table: Table, value: object) -> None:
        message = None
        if table.spoiled(("project",)):
            return
        if isinstance(value, str) and contains_token_start(value):
            message = f"project holds a token; {SECRET}"
        else:
            try:
                self.project = checked_project(cast("str", value))
            except ValidationError as error:
                message = error.detail
        if message is not None:
            self.problems.append(table.problem(("project",), message))

    def take_defaults(self, table: Table, value: object) -> None:
        if not isinstance(value, dict):
            self.problems.append(
                table.problem(("defaults",), "defaults must be a mapping of a workload's fields")
            )
            return
        self.defaults = Table(table.source, ("defaults",), cast("dict[str, Any]", value))
        self.problems.extend(default_problems(self.defaults))

    def take_workloads(self, table: Table, value: object) -> None:
        if not isinstance(value, list):
            message = "workloads must be a list: in TOML, write [[workloads]] with two brackets before each"
            self.problems.append(table.problem(("workloads",), message))
            return
        for index, entry in enumerate(cast("list[object]", value)):
            keys = ("workloads", index)
            if isinstance(entry, dict):
                self.entries.append(Table(table.source, keys, cast("dict[str, Any]", entry)))
            else:
                self.problems.append(table.problem(keys, "a workload is a mapping of its fields"))

    def workloads(self) -> tuple[list[WorkloadSpec], list[Place]]:
        specs: list[WorkloadSpec] = []
        places: list[Place] = []
        seen: dict[tuple[object, str], Place] = {}
        for table in self.entries:
            entry = Workload(
                table, self.defaults or Table(table.source, ("defaults",), {}), self.project
            )
            self.checked.append(entry)
            self.problems.extend(entry.problems())
            spec, place = entry.spec, Place(table.source.path, table.source.line(table.keys))
            specs.append(spec)
            places.append(place)
            key = "slug" if "slug" in table.values else "name"
            if (
                key in table.values
                and isinstance(cast("object", spec.slug), str)
                and not table.spoiled((key,))
            ):
                slug = canonical_slug(spec.slug)
                first = seen.setdefault((spec.project, slug), place)
                if slug and first is not place:
                    message = f"a workload with the slug {slug!r} stands at {first} as well; give one of them another"
                    self.problems.append(table.problem((key,), message))
        return specs, places
