"""The lock file: its content, its text, and that it is written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.errors import ConfigurationError, ValidationError
from inferencekey.manifest import Lock, LockEntry
from inferencekey.models import Workload

HOSTED, LOCAL = "https://api.inferencekey.com", "http://127.0.0.1:4747"


def test_a_lock_file(tmp_path: Path) -> None:
    path = tmp_path / "inferencekey.lock"
    assert Lock.read(path) == Lock(path)
    lock = Lock(path)
    for platform, project, slug, id in (
        (HOSTED, "acme", "support-bot", "5f0c"),
        (LOCAL, "acme", "bot", "1"),
        (HOSTED, "acme", "billing", "9b2f"),
        (HOSTED, "a b", "bot", "2"),
        (HOSTED, "acme", "support-bot", "6f0c"),
    ):
        lock = lock.record(platform, project, slug, id)
    lock.write()
    assert Lock.read(path) == lock
    assert path.read_text() == str(lock)
    assert path.read_text().splitlines()[2:] == [
        "version = 1",
        "",
        '["http://127.0.0.1:4747".acme]',
        'bot = "1"',
        "",
        '["https://api.inferencekey.com"."a b"]',
        'bot = "2"',
        "",
        '["https://api.inferencekey.com".acme]',
        'billing = "9b2f"',
        'support-bot = "6f0c"',
    ]
    assert lock.ids(HOSTED, "acme") == {"billing": "9b2f", "support-bot": "6f0c"}
    assert lock.forget(HOSTED, "acme", "billing").ids(HOSTED, "acme") == {"support-bot": "6f0c"}
    assert lock.forget(HOSTED, "acme", "not there") == lock
    assert os.listdir(tmp_path) == ["inferencekey.lock"]


def test_only_recorded_workloads_that_are_not_declared_are_prunable() -> None:
    lock = (
        Lock(Path("x"))
        .record(HOSTED, "acme", "a", "1")
        .record(HOSTED, "acme", "b", "2")
        .record(HOSTED, "acme", "c", "3")
    )
    live = [
        Workload(id="1", slug="a"),
        Workload(id="2", slug="b"),
        Workload(id="anew", slug="c"),
        Workload(id="4", slug="d"),
    ]
    assert [one.slug for one in lock.prunable(HOSTED, "acme", live, {"a"})] == ["b"]
    assert lock.prunable(LOCAL, "acme", live, ()) == ()
    assert lock.prunable(HOSTED, "other", live, ()) == ()


names = st.text(st.characters(codec="utf-8"), max_size=8)


@given(st.sets(st.builds(LockEntry, names, names, names, names), max_size=6))
def test_a_written_lock_reads_as_the_same_lock(entries: set[LockEntry]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lock = Lock(Path(folder, "x.lock"))
        for entry in sorted(entries):
            if entry.base_url != "version":
                lock = lock.record(entry.base_url, entry.project, entry.slug, entry.id)
        lock.write()
        assert Lock.read(lock.path) == lock
        assert set(tomllib.loads(str(lock))) == {
            "version",
            *(entry.base_url for entry in lock.entries),
        }


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        (
            'version = 1\n<<<<<<< HEAD\n["a".b]\n',
            ":2",
            "has a merge conflict; keep the lines of both sides and remove the conflict markers",
        ),
        ("version = 1\n=======\n", ":2", "has a merge conflict"),
        ("version = 1\n[a.b]\n>>>>>>> branch\n", ":3", "has a merge conflict"),
        ("version = 1\n||||||| base\n", ":2", "has a merge conflict"),
        ("version = \n", "", "is not a valid lock file (Invalid value"),
        (
            'version = 1\n[a.b]\nc = "1"\n"c" = "2"\n',
            "",
            "is not a valid lock file (Cannot overwrite a value",
        ),
        ("version = 1\nversion = 1\n", "", "is not a valid lock file (Cannot overwrite a value"),
        ("", "", "has version None, but this inferencekey reads only version 1"),
        ("version = 2\n", "", "has version 2, but"),
        ("version = 1\na = 2\n", "", "is not a valid lock file (a must be a table)"),
        ("version = 1\n[a]\nb = 2\n", "", "is not a valid lock file (a b must be a table)"),
        (
            "version = 1\n[a.b]\nc = 2\n",
            "",
            "is not a valid lock file (the id of c must be a string)",
        ),
        ("version = \xff\n".encode("latin-1"), "", "is not UTF-8 text"),
    ],
)
def test_rejects_broken_lock_files(
    tmp_path: Path, text: str | bytes, place: str, what: str
) -> None:
    path = tmp_path / "inferencekey.lock"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as caught:
        Lock.read(path)
    assert str(caught.value).startswith(f"configuration error: {path}{place}: {what}")
    assert str(caught.value).endswith(
        "Restore it from version control. If you delete it, --prune no longer removes what was "
        "created so far."
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (
            'version = 1\n["http://h".b]\na = "1"\nw = "2"\n\n[c.d]\nw = "2"\n["http://x".b]\n'
            'v = "1"\nw = "3"\nw = "4"\n',
            11,
            'w is there twice, with the ids "3" and "4"; keep the line with the id of the live '
            "workload (`inferencekey get w --json` shows it).",
        ),
        (
            'version = 1\n[a.b]\nw = "1"\n\n[a.b]\nv = "2"\n',
            5,
            "[a.b] is there twice; put its lines under one of the two.",
        ),
    ],
)
def test_rejects_a_workload_that_two_branches_created(
    tmp_path: Path, text: str, line: int, what: str
) -> None:
    path = tmp_path / "inferencekey.lock"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        Lock.read(path)
    assert str(caught.value) == f"configuration error: {path}:{line}: {what}"


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "inferencekey.lock"
    Lock(path).record(HOSTED, "acme", "a", "1").write()
    before = path.read_text()
    with pytest.raises(ValidationError, match="invalid Unicode"):
        Lock(path).record(HOSTED, "acme", "a", "1").record(HOSTED, "zzz", "b", "2").record(
            "\udcff", "a", "b", "2"
        ).write()
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["inferencekey.lock"]
    with pytest.raises(FileNotFoundError):
        Lock(tmp_path / "none" / "x.lock").write()


def test_permissions_and_links_are_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "real.lock", tmp_path / "inferencekey.lock"
    link.symlink_to(path)
    Lock(link).record(HOSTED, "acme", "a", "1").write()
    assert link.is_symlink()
    assert Lock.read(path).entries == Lock.read(link).entries != frozenset()
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
