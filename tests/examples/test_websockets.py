"""The chat pages with a real engine behind them, and browsers that leave in the middle."""

from __future__ import annotations

import asyncio
import random
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from platforms.up import Up
from websockets.asyncio.client import ClientConnection

from examples.apps import App
from examples.browsers import Log, abort, ask, first_words, rest
from inferencekey import AsyncDataClient, AsyncEndpoint

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

LONG = "Write a very long story."
NAMES = ["fastapi", "aiohttp"]

Leave = Callable[[ClientConnection], object]


@pytest.fixture(scope="module", params=NAMES)
def app(
    request: pytest.FixtureRequest, up: Up, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    with App(request.param, up.env, tmp_path_factory.mktemp("app") / "log") as running:
        yield running


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def bot(up: Up) -> AsyncIterator[AsyncEndpoint]:
    async with AsyncDataClient(base_url=up.base_url, project="acme", api_key=up.api_key) as data:
        yield data.endpoint("support-bot")


@asynccontextmanager
async def engine_filled(app: App) -> AsyncIterator[list[ClientConnection]]:
    """All four slots of the engine are busy with answers of half a minute."""
    browsers = [await ask(app, LONG) for _ in range(4)]
    try:
        for browser in browsers:
            await first_words(browser)
        yield browsers
    finally:
        for browser in browsers:
            abort(browser)


async def close_all(browsers: list[ClientConnection]) -> None:
    await asyncio.gather(*(browser.close() for browser in browsers))


async def test_the_page_is_served(app: App) -> None:
    def get() -> str:
        with urllib.request.urlopen(app.url + "/", timeout=10) as answer:
            return str(answer.read().decode())

    page = await asyncio.to_thread(get)
    assert "new WebSocket(" in page
    assert r"`\n[${error}]`" in page


async def test_a_whole_answer_comes_chunk_by_chunk(app: App) -> None:
    began = time.monotonic()
    browser = await ask(app, "Say hi.")
    await first_words(browser)
    first = time.monotonic() - began
    messages, code = await rest(browser)
    assert code == 1000
    assert messages
    assert all(list(message) == ["text"] for message in messages)
    assert first < time.monotonic() - began


@pytest.mark.parametrize("rude", [False, True], ids=["close frame", "reset"])
async def test_the_engine_stops_when_the_browsers_leave(
    app: App, up: Up, bot: AsyncEndpoint, rude: bool
) -> None:
    log = Log(up)
    async with engine_filled(app) as browsers:
        before = len(log.statuses())
        for browser in browsers:
            if rude:
                abort(browser)
        closing = asyncio.create_task(close_all([] if rude else browsers))
        began = time.monotonic()
        await log.ended(before + 4, within=1)
        # Had one of the slots not been let go at least, this would wait for half a minute.
        await bot.generate_text("Hi", max_tokens=1)
        assert time.monotonic() - began < 3
        await closing
    assert log.statuses()[before : before + 4] == [499] * 4


async def test_all_four_slots_are_let_go(app: App, up: Up, bot: AsyncEndpoint) -> None:
    async with engine_filled(app) as browsers:
        await close_all(browsers)
    async with engine_filled(app):  # would not get its first words
        pass
    await bot.generate_text("Hi", max_tokens=1)


async def test_a_browser_may_leave_before_the_first_word(app: App, up: Up) -> None:
    log = Log(up)
    async with engine_filled(app):
        waiting = [await ask(app, LONG) for _ in range(2)]
        await asyncio.sleep(0.5)
        before = len(log.statuses())
        abort(waiting[0])
        await waiting[1].close()
        await log.ended(before + 2, within=1)
        assert log.statuses()[before:] == [499, 499]
    await log.ended(before + 6, within=2)


async def test_the_server_stops_at_once_with_streams_open(
    name: str, up: Up, tmp_path: Path
) -> None:
    log = Log(up)
    with App(name, up.env, tmp_path / "log") as app:
        async with engine_filled(app) as browsers:
            before = len(log.statuses())
            reading = [asyncio.create_task(rest(browser)) for browser in browsers]
            took = await asyncio.to_thread(app.stop)
            await log.ended(before + 4, within=1)
            assert {code for _, code in await asyncio.gather(*reading)} <= {1012, 1001}
    assert took < 3


async def test_thirty_browsers_and_half_of_them_leave(name: str, up: Up, tmp_path: Path) -> None:
    log = Log(up)
    before = len(log.statuses())
    rng = random.Random(3)  # noqa: S311

    async def stay(app: App) -> None:
        browser = await ask(app, LONG)
        messages, code = await rest(browser)
        assert code == 1000
        assert 10 < len(messages) <= 24

    async def leave(app: App, rude: bool) -> None:
        await asyncio.sleep(rng.random())
        browser = await ask(app, LONG)
        await asyncio.sleep(2 * rng.random())
        if rude:
            abort(browser)
        else:
            await browser.close()

    with App(name, up.env, tmp_path / "log", MAX_TOKENS="24") as app:
        async with asyncio.TaskGroup() as tasks:
            for number in range(15):
                tasks.create_task(stay(app))
                tasks.create_task(leave(app, rude=number % 2 == 0))
        # Every generation that began has ended; those who left before it began are not among them.
        await asyncio.sleep(1)
        found = log.statuses()[before:]
        assert found.count(200) >= 15
        assert set(found) <= {200, 499}
        assert app.stop() < 3


async def test_a_refusal_is_readable(name: str, up: Up, tmp_path: Path) -> None:
    with App(
        name, {**up.env, "INFERENCEKEY_API_KEY": up.mint("acme/other")}, tmp_path / "log"
    ) as app:
        messages, code = await rest(await ask(app, "Hi"))
        assert [list(message) for message in messages] == [["error"]]
        assert messages[0]["error"].startswith("permission denied")
        assert code == 1011
        messages, code = await rest(await ask(app, "  "))
        assert messages[0]["error"].startswith("validation error")
