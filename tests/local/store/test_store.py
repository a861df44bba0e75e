"""The store: what it keeps, which files it refuses, and that no write is lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from inferencekey.local.errors import IdempotencyConflict, StoreError
from inferencekey.local.records import EngineRecord, StoredStatus, StoredWorkload
from inferencekey.local.store import Store
from inferencekey.local.store.schema import MIGRATIONS
from inferencekey.local.store.tokens import DEFAULT_SCOPES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "platform.db"


@pytest.fixture
def store(path: Path):
    with Store(path) as opened:
        yield opened


FIELDS: dict[str, Any] = {
    "name": "Bot",
    "task_type": "text2text",
    "backend": "vllm",
    "model_name": "m",
}


def add(
    store: Store, slug: str = "bot", project: str = "acme", key: str | None = None, **fields: Any
) -> StoredWorkload:
    return store.create_workload(project, slug, {**FIELDS, **fields}, idempotency_key=key)


def test_reads_a_workload_as_it_was_stored(store: Store) -> None:
    config = {"command": "vllm serve x --flag 'a b'", "nested": {"list": [1, 2.5, None, "é🙂"]}}
    made = add(
        store,
        config=config,
        description="d",
        execution_policy="fixed",
        execution_policy_config={"replicas": 2},
    )
    assert made.config == config
    assert store.workload("acme", "bot") == store.workload_by_id(made.id) == made
    assert made.created_at == made.updated_at
    assert made.created_at.endswith("Z")


def test_the_wire_form_has_the_contracts_fields(store: Store) -> None:
    wire = add(store).to_wire()
    assert set(wire) == {
        *(
            "id",
            "project_id",
            "name",
            "slug",
            "description",
            "task_type",
            "backend",
            "model_name",
            "config",
        ),
        *(
            "worker_id",
            "gpu_resource_id",
            "execution_policy",
            "execution_policy_config",
            "created_at",
            "updated_at",
        ),
        *("project_slug", "workload_slug"),
    }
    assert wire["project_id"] == add(store, "other").to_wire()["project_id"] != wire["id"]
    assert (wire["project_slug"], wire["workload_slug"], wire["slug"]) == ("acme", "bot", "bot")


def test_the_table_has_a_column_for_every_attribute_of_a_workload(path: Path, store: Store) -> None:
    """A new field of a workload needs a migration; this test fails without one."""
    with closing(sqlite3.connect(path)) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(workloads)")}
    assert columns == set(attrs.fields_dict(StoredWorkload))


def test_a_taken_slug_gets_the_first_free_number(store: Store) -> None:
    assert [add(store).slug for _ in range(3)] == ["bot", "bot-1", "bot-2"]
    assert add(store, project="other").slug == "bot"
    middle = store.workload("acme", "bot-1")
    assert middle is not None
    assert store.delete_workload(middle.id)
    assert add(store).slug == "bot-1"


def test_workloads_are_listed_by_project_oldest_first(store: Store) -> None:
    for slug in ("c", "a", "b"):
        add(store, slug)
    add(store, project="other")
    assert [workload.slug for workload in store.workloads("acme")] == ["c", "a", "b"]
    assert len(store.workloads()) == 4
    assert store.workloads("nobody") == []


def test_an_update_changes_only_the_given_fields(store: Store) -> None:
    before = add(store, config={"command": "x"}, description="d")
    change = store.update_workload(
        before.id, lambda _: {"config": {"a": 1}, "description": None, "slug": "never"}
    )
    assert change is not None
    was, now = change
    assert was == before
    assert (now.config, now.description, now.slug, now.name) == ({"a": 1}, None, "bot", "Bot")
    assert now.updated_at > before.updated_at
    assert now.created_at == before.created_at


def test_an_update_of_nothing_writes_nothing(store: Store) -> None:
    before = add(store)
    assert store.update_workload(before.id, lambda _: {}) == (before, before)
    assert store.update_workload("no-such-id", lambda _: {"name": "x"}) is None


def test_an_exception_during_an_update_changes_nothing(store: Store) -> None:
    made = add(store)

    def refuse(_: StoredWorkload) -> dict[str, Any]:
        raise LookupError

    with pytest.raises(LookupError):
        store.update_workload(made.id, refuse)
    assert store.workload_by_id(made.id) == made
    add(store, "next")  # This fails if the lock is still held.


def test_deleting_a_workload_deletes_its_status(store: Store) -> None:
    made = add(store)
    store.set_statuses({made.id: StoredStatus(phase="ready", message="m")})
    assert store.delete_workload(made.id)
    assert not store.delete_workload(made.id)
    assert store.workload("acme", "bot") is None
    assert store.statuses() == {}


def test_the_latest_status_is_kept(store: Store) -> None:
    made = add(store)
    store.set_statuses({made.id: StoredStatus(phase="provisioning", message="1", step="10 %")})
    store.set_statuses(
        {
            made.id: StoredStatus(phase="ready", message="2", served_by="real"),
            "gone": StoredStatus(phase="x", message=""),
        }
    )
    status = store.statuses()[made.id]
    assert (status.phase, status.message, status.step, status.served_by) == (
        "ready",
        "2",
        None,
        "real",
    )
    assert status.updated_at


# Idempotency


def test_the_same_key_and_body_create_one_workload(store: Store) -> None:
    first = add(store, key="k")
    assert add(store, key="k") == first
    assert len(store.workloads()) == 1
    assert add(store, key="k", project="other").project == "other"
    assert add(store, key="k2").slug == "bot-1"


def test_a_repeated_create_returns_the_current_workload(store: Store) -> None:
    first = add(store, key="k")
    store.update_workload(first.id, lambda _: {"name": "Renamed"})
    assert add(store, key="k").name == "Renamed"


def test_the_same_key_with_another_body_is_refused(store: Store) -> None:
    add(store, key="k")
    for other in ({"slug": "bot2"}, {"model_name": "m2"}, {"config": {}}):
        with pytest.raises(IdempotencyConflict, match="another body"):
            add(store, key="k", **other)
    assert len(store.workloads()) == 1


def test_a_late_create_does_not_restore_a_deleted_workload(store: Store) -> None:
    store.delete_workload(add(store, key="k").id)
    with pytest.raises(IdempotencyConflict, match="has been deleted"):
        add(store, key="k")


def test_a_key_is_forgotten_after_a_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, key="k")
    monkeypatch.setattr("inferencekey.local.store.workloads.IDEMPOTENCY_SECONDS", -1)
    assert add(store, key="k").slug == "bot-1"


def test_concurrent_creates_with_one_key_create_one_workload(path: Path, store: Store) -> None:
    with Store(path) as other, ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: add((store, other)[i % 2], key="k"), range(16)))
    assert len({workload.id for workload in made}) == 1


def test_concurrent_creates_without_a_key_get_different_slugs(path: Path, store: Store) -> None:
    with Store(path) as other, ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: add((store, other)[i % 2]), range(16)))
    assert {workload.slug for workload in made} == {"bot", *(f"bot-{n}" for n in range(1, 16))}


# Tokens


def test_finds_a_token_by_its_text_only(store: Store) -> None:
    minted = store.mint_sdk_token("acme")
    token = store.token(minted.text)
    assert token is not None
    assert (token.kind, token.project, token.scopes, token.grants) == (
        "sdk",
        "acme",
        DEFAULT_SCOPES,
        (),
    )
    assert token.created_at.tzinfo is not None
    forged = minted.text[:-1] + ("0" if minted.text[-1] != "0" else "1")
    assert store.token(forged) is None
    assert store.token(minted.text.replace("_sdk_", "_live_")) is None
    assert store.token("") is None


def test_a_data_key_keeps_its_grants(store: Store) -> None:
    token = store.token(store.mint_live_token("acme/Support Bot", "other/*").text)
    assert token is not None
    assert token.grants == ("acme/support-bot", "other/*")


def test_no_secret_is_in_any_file(tmp_path: Path, store: Store) -> None:
    minted = [store.mint_sdk_token("acme"), store.mint_live_token("acme/*")]
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for token in minted:
        assert token.id.encode() in content
        assert token.text.rpartition("_")[2].encode() not in content
        assert token.text not in repr(store.tokens())


@pytest.mark.parametrize("by", ["id", "text"])
def test_keeps_a_revoked_token_as_revoked(store: Store, by: str) -> None:
    minted = store.mint_live_token("acme/*")
    assert store.revoke_token(getattr(minted, by))
    assert not store.revoke_token(minted.id)
    token = store.token(minted.text)
    assert token is not None
    assert token.revoked_at is not None
    assert [known.id for known in store.tokens()] == [minted.id]


def test_another_process_finds_a_new_token_immediately(path: Path, store: Store) -> None:
    with Store(path) as other:
        for _ in range(20):
            assert store.token(other.mint_live_token("acme/*").text) is not None


# Engines


def test_engines_are_remembered_until_cleared(store: Store) -> None:
    store.add_engine(EngineRecord(10, 1.5))
    store.add_engine(EngineRecord(10, 1.5))
    store.add_engine(EngineRecord(11, 2.25))
    assert store.engines() == [EngineRecord(10, 1.5), EngineRecord(11, 2.25)]
    store.clear_engines()
    assert store.engines() == []


# The file


def test_everything_can_be_read_after_reopening(path: Path) -> None:
    with Store(path) as store:
        made, minted = add(store, key="k"), store.mint_sdk_token("acme")
    with Store(path) as store:
        assert store.workloads() == [made]
        assert store.token(minted.text) is not None
        assert add(store, key="k") == made


def test_only_their_owner_can_read_the_files(tmp_path: Path, store: Store) -> None:
    before = os.umask(0)
    try:
        add(store)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3, modes  # the database, -wal and -shm


def test_writes_are_synchronous(store: Store) -> None:
    for connection in (store._writer, store._reader):
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_refuses_a_newer_store_and_does_not_change_it(path: Path) -> None:
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 6}")
    connection.close()
    with pytest.raises(
        StoreError, match=r"written by a newer inferencekey \(schema 8, this one knows 2\)"
    ):
        Store(path)


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to have a header " * 100, b"x" * 10]
)
def test_refuses_a_file_that_is_not_a_database_and_does_not_change_it(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match="file is not a database"):
        Store(path)
    assert path.read_bytes() == content


def test_refuses_the_database_of_another_program_and_does_not_change_it(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        Store(path)


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    with Store(path) as store:
        add(store)


def test_refuses_a_directory_in_place_of_the_file(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError, match="cannot open the store"):
        Store(path)


def test_several_processes_can_create_the_store_at_the_same_time(path: Path) -> None:
    start = threading.Barrier(8)

    def open_and_add(_: int) -> str:
        start.wait()
        with Store(path) as store:
            return add(store).slug

    with ThreadPoolExecutor(8) as pool:
        slugs = set(pool.map(open_and_add, range(8)))
    assert len(slugs) == 8


WRITER = """
import sys
from pathlib import Path
from inferencekey.local.store import Store
store = Store(Path(sys.argv[1]))
while True:
    fields = {"name": "n", "task_type": "t", "backend": "b", "model_name": "m"}
    made = store.create_workload("acme", "bot", fields)
    print(made.id, store.mint_live_token("acme/*").text, flush=True)
"""


def test_kill_9_loses_no_finished_write(path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline() for _ in range(50)]
    child.send_signal(signal.SIGKILL)
    acknowledged += [line for line in child.stdout if line.endswith("\n")]
    child.stdout.close()
    child.wait()
    with Store(path) as store:
        ids = {workload.id for workload in store.workloads()}
        for line in acknowledged:
            workload_id, token = line.split()
            assert workload_id in ids
            assert store.token(token) is not None
        assert len(ids) - len(acknowledged) in (0, 1)
        json.dumps([workload.to_wire() for workload in store.workloads()])
