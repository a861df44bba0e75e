"""Where the logs of programs are: a folder for each workload.

Each replica of each command has a file of its own in that folder, because the engines from before
a change still write while the new ones start.
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
        folder: where the logs are; it does not have to exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(
        self, project: str, slug: str, workload_id: str, launch_hash: str, replica: int
    ) -> Path:
        """Return the file that a replica writes to.

        Args:
            project: the project's slug.
            slug: the workload's slug, for people to read. A later workload of the same name has
                another folder.
            workload_id: the workload's id.
            launch_hash: a short hash of what is launched.
            replica: which of several, from 0.
        """
        folder = self._folder / f"{_folder_name(project, slug)}.{short_hash(workload_id)}"
        return folder / f"{replica}-{launch_hash}.log"

    def keep(self, workload_id: str, launch_hashes: Collection[str]) -> None:
        """Remove all other logs of a workload; with no hashes, its whole folder."""
        for folder in self._folder.glob(f"*.{short_hash(workload_id)}"):
            if not launch_hashes:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for file in folder.glob("*-*.log*"):
                if file.name.partition("-")[2].partition(".")[0] not in launch_hashes:
                    # A file that cannot be removed is not worth a failed workload.
                    with suppress(OSError):
                        file.unlink()

    def keep_workloads(self, workload_ids: Iterable[str]) -> None:
        """Remove the folders of all other workloads."""
        known = {short_hash(workload_id) for workload_id in workload_ids}
        for folder in self._folder.glob("*--*.*"):
            # The pattern of the name is exact: the user may keep other things in this folder.
            if not _FOLDER.fullmatch(folder.name) or not folder.is_dir():
                continue
            if folder.name.rpartition(".")[2] not in known:
                shutil.rmtree(folder, ignore_errors=True)


def short_hash(*words: str) -> str:
    """Return 16 hex digits that identify the words."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def _folder_name(project: str, slug: str) -> str:
    name = f"{project}--{slug}"
    if _PLAIN.fullmatch(name):
        return name
    # Letters, digits and dashes are safe on every file system; the hash keeps names distinct.
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower())[:80].strip("-")
    return f"{plain}--{short_hash(name)}"
