"""``inferencekey.lock``: which workloads the applies of a manifest created.

The file is beside the manifest and should be committed. It has one line per workload, in a stable
order, so that two branches that add workloads can be merged. Each workload is recorded with
its id: one that another caller deleted and created again has another id, and is not the manifest's.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import attrs

from inferencekey.errors import ConfigurationError
from inferencekey.models import Workload
from inferencekey.models.toml import toml_key, toml_text

__all__ = ["Lock", "LockEntry"]

_VERSION: Final = 1
_HEAD: Final = f"""\
# Written by `inferencekey apply`: the workloads that it created from this manifest, by id.
# Commit this file; --prune and destroy remove only these. In a merge, keep the lines of both.
version = {_VERSION}
"""
_CONFLICT: Final = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})(?: |$)")


@attrs.frozen(order=True)
class LockEntry:
    """One workload that an apply of the manifest recorded.

    Args:
        base_url: the platform it lives on.
        project: the project it lives in.
        slug: its slug.
        id: its id on that platform.
    """

    base_url: str
    project: str
    slug: str
    id: str


@attrs.frozen
class Lock:
    """The recorded workloads.

    A lock is a value: :meth:`record` and :meth:`forget` return a new one, :meth:`write` saves it.

    Args:
        path: the lock file.
        entries: what is recorded.
    """

    path: Path
    entries: frozenset[LockEntry] = frozenset()

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Read a lock file. A file that does not exist has no records.

        Raises:
            ConfigurationError: it has the markers of a merge conflict, or is not a lock file of
                this version; the message has the line and what to do.
            OSError: it cannot be read.
        """
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            return cls(path)
        except UnicodeDecodeError:
            raise _broken(path, None, "is not UTF-8 text") from None
        for number, line in enumerate(text.splitlines(), 1):
            if _CONFLICT.match(line):
                raise _broken(
                    path,
                    number,
                    "has a merge conflict; keep the lines of both sides and remove the conflict "
                    "markers",
                )
        try:
            values = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            _check_duplicates(path, text)
            raise _broken(path, None, f"is not a valid lock file ({error})") from None
        return cls(path, frozenset(_entries(path, values)))

    def ids(self, base_url: str, project: str) -> Mapping[str, str]:
        """Return the recorded ids of one project on one platform, by slug."""
        return {
            entry.slug: entry.id
            for entry in self.entries
            if (entry.base_url, entry.project) == (base_url, project)
        }

    def record(self, base_url: str, project: str, slug: str, id: str) -> Lock:
        """Return the lock with this workload; it replaces an earlier record of the same slug."""
        entry = LockEntry(base_url, project, slug, id)
        return attrs.evolve(self, entries=self.forget(base_url, project, slug).entries | {entry})

    def forget(self, base_url: str, project: str, slug: str) -> Lock:
        """Return the lock without this workload."""
        forgotten = (base_url, project, slug)
        kept = frozenset(
            entry
            for entry in self.entries
            if (entry.base_url, entry.project, entry.slug) != forgotten
        )
        return attrs.evolve(self, entries=kept)

    def prunable(
        self, base_url: str, project: str, live: Iterable[Workload], wanted: Collection[str]
    ) -> tuple[Workload, ...]:
        """Return the live workloads that the lock records and the manifest no longer declares.

        Args:
            base_url: the platform.
            project: the project.
            live: the project's workloads on it.
            wanted: the canonical slugs that the manifest declares for the project.
        """
        ids = self.ids(base_url, project)
        return tuple(
            workload
            for workload in live
            if workload.slug not in wanted and ids.get(workload.slug) == workload.id
        )

    def write(self) -> None:
        """Save it, whole or not at all; another process that reads meanwhile gets the old one.

        Raises:
            OSError: it cannot be written.
        """
        path = self.path.resolve()  # a lock file that is a link stays one
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "w", encoding="utf-8", newline="\n") as file:
                file.write(str(self))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def __str__(self) -> str:
        lines = [_HEAD]
        section: tuple[str, str] | None = None
        for entry in sorted(self.entries):
            if section != (entry.base_url, entry.project):
                section = (entry.base_url, entry.project)
                lines.append(f"\n[{'.'.join(map(toml_key, section))}]\n")
            lines.append(toml_text({entry.slug: entry.id}))
        return "".join(lines)


def _entries(path: Path, values: Mapping[str, Any]) -> Iterator[LockEntry]:
    platforms = dict(values)
    version = platforms.pop("version", None)
    if version != _VERSION:
        what = f"has version {version!r}, but this inferencekey reads only version {_VERSION}"
        raise _broken(path, None, what)
    for base_url, projects in platforms.items():
        for project, ids in _table(path, projects, base_url).items():
            for slug, id in _table(path, ids, f"{base_url} {project}").items():
                if not isinstance(id, str):
                    raise _broken(
                        path, None, f"is not a valid lock file (the id of {slug} must be a string)"
                    )
                yield LockEntry(base_url, project, slug, id)


def _check_duplicates(path: Path, text: str) -> None:
    """Raise an error for a workload or section that is there twice.

    Two branches that created the same workload leave such a file, and the error of ``tomllib`` does
    not name it.
    """
    section = ""
    first: dict[tuple[str, str], str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            section = line.strip()
            if (section, "") in first:
                raise _broken(
                    path,
                    number,
                    f"{section} is there twice; put its lines under one of the two",
                    restore=False,
                )
            first[section, ""] = section
        key, equals, id = map(str.strip, line.partition(" = "))
        if equals and section:
            if (section, key) in first:
                slug = key.strip('"')
                what = (
                    f"{slug} is there twice, with the ids {first[section, key]} and {id}; "
                    "keep the line with the id of the live workload"
                )
                raise _broken(
                    path,
                    number,
                    f"{what} (`inferencekey get {slug} --json` shows it)",
                    restore=False,
                )
            first[section, key] = id


def _table(path: Path, value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _broken(path, None, f"is not a valid lock file ({what} must be a table)")
    return cast("dict[str, object]", value)


def _broken(path: Path, line: int | None, what: str, *, restore: bool = True) -> ConfigurationError:
    place = str(path) if line is None else f"{path}:{line}"
    advice = ""
    if restore:
        advice = (
            " Restore it from version control. If you delete it, --prune no longer removes "
            "what was created so far."
        )
    return ConfigurationError.of(f"{place}: {what}.{advice}")
