"""The chat pages in front of a server that breaks off: they show the text so far, and the error."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio.to_thread
import pytest
from faults import Connection, FaultServer, Request, Script, events, head, sse_head

from examples.apps import App
from examples.browsers import abort, ask, first_words, rest

pytestmark = pytest.mark.anyio

FAKE = "ik_live_" + "0" * 8 + "_" + "0" * 64


def env(server: FaultServer) -> dict[str, str]:
    return {
        "INFERENCEKEY_BASE_URL": server.url,
        "INFERENCEKEY_PROJECT": "acme",
        "INFERENCEKEY_API_KEY": FAKE,
    }


def script(*pieces: bytes, cut: bool = False) -> Script:
    async def answer(connection: Connection, request: Request) -> None:
        await connection.send(*pieces)
        if cut:
            connection.close()

    return answer


CUT = script(sse_head(), *events("Once ", "upon", finish=None, done=False), cut=True)
FAILED = script(sse_head(), *events("Once "), b"".join(events(finish=None, done=False)), cut=True)
REFUSED = script(head(401, content_length="0"))


@pytest.mark.parametrize("name", ["fastapi", "aiohttp"])
async def test_what_came_and_then_why_it_ends(name: str, tmp_path: Path) -> None:
    with (
        FaultServer(CUT, REFUSED, FAILED) as server,
        App(name, env(server), tmp_path / "log") as app,
    ):
        messages, code = await rest(await ask(app, "Hi"))
        assert [message.get("text") for message in messages] == ["Once ", "upon", None]
        assert "the stream ended before it was complete" in messages[-1]["error"]
        assert code == 1011

        messages, code = await rest(await ask(app, "Hi"))
        assert messages[0]["error"].startswith("authentication failed")
        assert code == 1011
        assert FAKE not in str(messages)

        messages, code = await rest(await ask(app, "Hi"))
        assert (messages, code) == ([{"text": "Once "}], 1000)


@pytest.mark.parametrize("name", ["fastapi", "aiohttp"])
@pytest.mark.parametrize("rude", [False, True], ids=["close frame", "reset"])
@pytest.mark.parametrize("silent", [False, True], ids=["in the middle", "before the first word"])
async def test_the_connection_upstream_is_closed_at_once(
    name: str, rude: bool, silent: bool, tmp_path: Path
) -> None:
    asked = threading.Event()

    async def hold(connection: Connection, request: Request) -> None:
        asked.set()
        if not silent:
            await connection.send(sse_head(), *events("Once ", finish=None, done=False))
        await connection.until_gone()

    with FaultServer(hold) as server, App(name, env(server), tmp_path / "log") as app:
        browser = await ask(app, "Hi")
        if not silent:
            assert await first_words(browser) == "Once "
        assert await anyio.to_thread.run_sync(asked.wait, 5)
        if rude:
            abort(browser)
        else:
            await browser.close()
        assert await anyio.to_thread.run_sync(server.connections[0].gone.wait, 1)
