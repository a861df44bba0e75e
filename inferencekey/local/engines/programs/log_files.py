"""Where programs' logs are: a folder for each workload, in it a file for each replica of each command.

Engines from before a change go on writing while the new ones come up: each has a file of its own.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["LogFiles", "short_hash"]

_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,150}")
_FOLDER: Final = re.compile(r".+--.+\.[0-9a-f]{16}")


class LogFiles:
    """The logs of programs below one folder.

    Args:
        folder: the logs' own; it may not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, project: str, slug: str, workload_id: str, launched: str, replica: int) -> Path:
        """Return the file that a replica writes to.

        Args:
            project: the workload's.
            slug: the workload's, for people; a later one of the same name has another folder.
            workload_id: the workload's.
            launched: a short hash of what is launched.
            replica: which of several, from 0.
        """
        return (
            self._folder
            / f"{_name(project, slug)}.{short_hash(workload_id)}"
            / f"{replica}-{launched}.log"
        )

    def keep(self, workload_id: str, launched: Collection[str]) -> None:
        """Remove a workload's logs but for those of what is still of use; of none, its folder."""
        for folder in self._folder.glob(f"*.{short_hash(workload_id)}"):
            if not launched:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for file in folder.glob("*-*.log*"):
                if file.name.partition("-")[2].partition(".")[0] not in launched:
                    with suppress(OSError):
                        file.unlink()

    def keep_workloads(self, workload_ids: Iterable[str]) -> None:
        """Remove the folders of workloads that are no more."""
        known = {short_hash(workload_id) for workload_id in workload_ids}
        for folder in self._folder.glob("*--*.*"):
            if (
                _FOLDER.fullmatch(folder.name)
                and folder.name.rpartition(".")[2] not in known
                and folder.is_dir()
            ):
                shutil.rmtree(folder, ignore_errors=True)


def short_hash(*words: str) -> str:
    """Return 16 digits that stand for the words."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def _name(project: str, slug: str) -> str:
    """Return a plain name for a folder."""
    name = f"{project}--{slug}"
    if _PLAIN.fullmatch(name):
        return name
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower())[:80].strip('-')}--{short_hash(name)}"
