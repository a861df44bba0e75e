"""The logs of engines: reading a part of a file, and the route of the control plane."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platforms import Answer, Running, running
from platforms.installing import install

from inferencekey.local.engines.log_text import READ_BYTES, clean_line, read_after, read_tail

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

TOKEN = "ik_live_0123abcd_" + "0" * 64


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "engine.log"


# Reading


def test_reads_the_last_lines(log: Path) -> None:
    log.write_text("".join(f"line {n}\n" for n in range(10)))
    part = read_tail(log, 3)
    assert part.lines == ("line 7", "line 8", "line 9")
    assert part.next == log.stat().st_size
    assert read_tail(log, 3, start=log.stat().st_size - 7).lines == ("line 9",)
    assert read_tail(log.with_name("nowhere"), 3) == read_after(log.with_name("nowhere"), 5, 3)


def test_an_unfinished_line_is_read_now_and_again_when_it_is_complete(log: Path) -> None:
    log.write_text("one\ntwo")
    part = read_tail(log, 10)
    assert (part.lines, part.next) == (("one", "two"), 4)
    assert read_after(log, part.next, 10).lines == ()
    log.write_text("one\ntwo and more\nthree\n")
    assert read_after(log, part.next, 10).lines == ("two and more", "three")


def test_continues_at_the_offset_of_the_last_read(log: Path) -> None:
    log.write_text("".join(f"{n}\n" for n in range(10)))
    first = read_after(log, 0, 4)
    assert first.lines == ("0", "1", "2", "3")
    second = read_after(log, first.next, 100)
    assert second.lines == ("4", "5", "6", "7", "8", "9")
    assert read_after(log, second.next, 100) == read_after(log, second.next, 1)
    assert read_after(log, second.next, 100).lines == ()


def test_reads_a_log_that_was_started_again_from_its_beginning(log: Path) -> None:
    log.write_text("new\n")
    assert read_after(log, 5000, 10).lines == ("new",)


def test_one_read_is_limited_in_size(log: Path) -> None:
    log.write_text("x" * 100 + "\n" + ("y" * 99 + "\n") * (READ_BYTES // 50))
    tail = read_tail(log, 10**6)
    assert len(tail.lines) == READ_BYTES // 100
    assert set(tail.lines) == {"y" * 99}
    assert len(read_after(log, 0, 10**6).lines) < READ_BYTES // 99

    log.write_bytes(b"z" * (3 * READ_BYTES))
    assert read_tail(log, 5).lines == ("z" * 4000,)
    assert read_after(log, 0, 5).next == READ_BYTES


@given(st.binary(max_size=300), st.integers(1, 5))
def test_successive_reads_return_every_finished_line_once(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, n: int
) -> None:
    log = tmp_path_factory.getbasetemp() / "any.log"
    log.write_bytes(data)
    seen: list[str] = []
    offset, moved = 0, True
    while moved:
        part = read_after(log, offset, n)
        moved, offset = part.next != offset, part.next
        seen += part.lines
    assert seen == [clean_line(line.decode(errors="replace")) for line in data.split(b"\n")[:-1]]
    assert list(read_tail(log, 10**6).lines)[: len(seen)] == seen


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;32mINFO\x1b[0m ready", "INFO ready"),
        ("\x1b]0;title\x07text", "text"),
        ("10 %\r50 %\r100 %", "100 %"),
        ("windows\r", "windows"),
        ("bell\x07\x00null", "bellnull"),
        (f"got {TOKEN}!", "got ik_live_0123abcd…!"),
        ("token hf_abcdefghijklmnop end", "token hf_… end"),
        ("key my-own-key", "key ik…"),
        ("a" * 5000, "a" * 4000),
    ],
)
def test_shows_a_line_as_a_terminal_does(line: str, shown: str) -> None:
    assert clean_line(line, ["my-own-key"]) == shown


# The route


async def logs(
    local: Running, slug: str = "bot", *, token: str | None = None, **query: Any
) -> Answer:
    params = {name: str(value) for name, value in query.items()}
    return await local.call(
        "GET", f"/api/projects/acme/workloads/{slug}/logs", token=token, params=params
    )


async def test_the_route_returns_the_log_of_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path / "bin", vllm="tiny_openai.py vllm")
    command = f"vllm serve m --api-key my-own-key --say 'tokens: my-own-key {TOKEN[:-1]}x'"
    async with running(tmp_path / "data") as local:
        await local.create(
            "bot", task_type="text2text", config={"command": "vllm serve m --say hello"}
        )
        assert (await local.ready("bot"))[-1]["phase"] == "ready"
        response = await logs(local)
        assert response.status == 200
        heading, *lines = response.body["lines"]
        assert "] $ vllm serve m --say hello --port " in heading
        assert lines[0] == "hello"
        assert any("GET /health" in line for line in lines)
        assert response.body["engine"] == "vllm"
        assert (await logs(local, "Bot", lines=1)).body["lines"] == lines[-1:]
        assert (await logs(local, after=response.body["next"])).body["lines"] == []
        assert (await logs(local, after=0, lines=1)).body["lines"] == [heading]
        assert (await logs(local, replica=1)).body == {"lines": [], "next": 0, "engine": None}

        await local.create(
            "other",
            task_type="text2text",
            config={"command": command.replace(TOKEN[:-1] + "x", "")},
        )
        assert (await local.ready("other"))[-1]["phase"] == "ready"
        text = "\n".join((await logs(local, "other")).body["lines"])
        assert "tokens: ik…" in text
        assert "my-own-key" not in text


async def test_the_route_checks_the_token_and_the_parameters(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as local:
        await local.create("bot")
        assert (await logs(local)).body == {"lines": [], "next": 0, "engine": None}
        assert (await logs(local, "nobody")).status == 404
        reader = local.platform.mint_sdk_token("acme", ["workload:read"])
        assert (await logs(local, token=reader)).status == 200
        assert (
            await logs(local, token=local.platform.mint_sdk_token("acme", ["assignment:write"]))
        ).status == 403
        assert (await logs(local, token=local.platform.mint_sdk_token("other"))).status == 403
        assert (await logs(local, token="")).status == 401
        assert (await logs(local, token=local.live)).status == 403
        for query in (
            {"lines": 0},
            {"lines": 1001},
            {"lines": "x"},
            {"after": -1},
            {"after": "²"},
            {"replica": "-1"},
        ):
            response = await logs(local, **query)
            assert response.status == 400, query
            assert "must be an integer from" in response.body["error"]


NEVER = {
    "execution_policy": "autoscaling",
    "execution_policy_config": {
        "min_workers": 0,
        "max_workers": 1,
        "workers": {"source": "private", "private_worker_ids": ["here"]},
    },
}
NOTHING = {"lines": [], "next": 0, "engine": None}


async def folders_become(data: Path, wanted: list[int]) -> list[Path]:
    """Wait until the log folders of the workloads have these numbers of files."""
    async with asyncio.timeout(20):
        while True:
            folders = sorted(path for path in (data / "logs").iterdir() if path.is_dir())
            if [len(list(folder.iterdir())) for folder in folders] == wanted:
                return folders
            await asyncio.sleep(0.02)


async def test_a_log_belongs_to_the_current_engines_of_the_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path / "bin", vllm="tiny_openai.py vllm")
    data = tmp_path / "data"
    async with running(data) as local:
        made = await local.create(
            "bot", task_type="text2text", config={"command": "vllm serve m --say first"}
        )
        assert (await local.ready("bot"))[-1]["phase"] == "ready"
        assert "first" in (await logs(local)).body["lines"]
        change = {"config": {"command": "vllm serve m --say second"}}
        assert (
            await local.call("PATCH", f"/api/workloads/{made['id']}", json=change)
        ).status == 200
        assert (await local.ready("bot"))[-1]["phase"] == "ready"
        heading, *lines = (await logs(local)).body["lines"]
        assert "--say second" in heading
        assert "second" in lines
        assert not [line for line in lines if "$ " in line or "first" in line]
        await folders_become(data, [1])  # only the other workload's log is left

        assert (await local.call("DELETE", f"/api/workloads/{made['id']}")).status == 204
        await local.create("bot", task_type="text2text", config=change["config"], **NEVER)
        assert (await logs(local)).body == (await logs(local, after=5)).body == NOTHING
        await folders_become(data, [])


async def test_a_restart_keeps_the_logs_of_existing_workloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path / "bin", vllm="tiny_openai.py vllm")
    data = tmp_path / "data"
    async with running(data) as local:
        made = await local.create(
            "bot", task_type="text2text", config={"command": "vllm serve m --say hello"}
        )
        assert (await local.ready("bot"))[-1]["phase"] == "ready"
        policy = {
            "execution_policy": "scheduled",
            "execution_policy_config": {"cron": "0 0 29 2 *"},
        }
        assert (
            await local.call("PATCH", f"/api/workloads/{made['id']}", json=policy)
        ).status == 200
    [folder] = await folders_become(data, [1])
    left_over = data / "logs" / f"acme--gone.{'0' * 16}"
    left_over.mkdir()
    (left_over / "0-ab.log").write_text("its end came before its logs'\n")
    mine = data / "logs" / "my--own.notes"
    mine.mkdir()
    async with running(data) as local:
        body = (await logs(local)).body
        assert (body["lines"][1], body["engine"]) == ("hello", "vllm")
    assert {path for path in (data / "logs").iterdir() if path.is_dir()} == {folder, mine}


@pytest.mark.engine
async def test_a_stand_ins_log_starts_when_the_workload_begins_to_use_it(tmp_path: Path) -> None:
    log = tmp_path / "data" / "logs" / "embedding.log"
    log.parent.mkdir(parents=True)
    log.write_text("of another day\n")
    async with running(tmp_path / "data") as local:
        await local.create("rests", task_type="embedding", **NEVER)
        await local.serve("docs", "embedding")
        body = (await logs(local, "docs", lines=1000)).body
        assert body["engine"] == "the stand-in all-MiniLM-L6-v2 (shared with other workloads)"
        assert body["lines"]
        assert (
            "of another day"
            not in body["lines"] + (await logs(local, "docs", after=0)).body["lines"]
        )
        assert (await logs(local, "rests")).body == NOTHING
        called = await local.call(
            "POST", "/endpoint/acme/rests/v1/embeddings", json={"input": "one"}
        )
        assert called.status == 200
        assert (await logs(local, "rests", lines=1000)).body["lines"][: len(body["lines"])] == body[
            "lines"
        ]
