"""A chat page with aiohttp.web: a stream is sent to the browser through a websocket.

When the browser leaves, the stream is closed and the engine stops.

    pip install .   # in a checkout of inferencekey
    export INFERENCEKEY_PROJECT=acme INFERENCEKEY_API_KEY=ik_live_…
    python examples/aiohttp_websocket.py

A browser opens a websocket for each question and sends the prompt as text. It gets ``{"text": …}``
for each chunk and then the close code 1000, or ``{"error": …}`` and the close code 1011.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from weakref import WeakSet

import anyio
from aiohttp import WSCloseCode, WSMsgType, web

from inferencekey import AsyncDataClient, AsyncEndpoint, InferenceKeyError

WORKLOAD = os.environ.get("WORKLOAD", "support-bot")
MAX_TOKENS = int(os.environ.get("MAX_TOKENS", "1500"))
BOT = web.AppKey("BOT", AsyncEndpoint)
BROWSERS = web.AppKey("BROWSERS", WeakSet[web.WebSocketResponse])


async def client(app: web.Application) -> AsyncIterator[None]:
    # One client for the process: it keeps the connections, and all requests share it.
    async with AsyncDataClient.from_env() as data:
        app[BOT] = data.endpoint(WORKLOAD)
        yield


async def chat(request: web.Request) -> web.WebSocketResponse:
    # The pings find browsers that disappeared without closing the connection.
    browser = web.WebSocketResponse(heartbeat=20)
    await browser.prepare(request)
    request.app[BROWSERS].add(browser)
    message = await browser.receive()
    if message.type is not WSMsgType.TEXT:
        return browser
    # A handler notices that the browser has left only while it receives. So it receives while it
    # sends, and cancels the answer: that closes the connection to the platform, and the engine
    # stops. Otherwise a browser that leaves before the first token keeps the engine busy until that
    # token.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel_when_gone, browser, tasks.cancel_scope)
        await answer(browser, request.app[BOT], message.data)
        tasks.cancel_scope.cancel()
    return browser


async def answer(browser: web.WebSocketResponse, bot: AsyncEndpoint, prompt: str) -> None:
    try:
        try:
            async with bot.generate_text_stream(prompt, max_tokens=MAX_TOKENS) as stream:
                async for chunk in stream:
                    if chunk.text:
                        await browser.send_json({"text": chunk.text})
        except InferenceKeyError as error:
            # The message is written for people and never contains a key.
            await browser.send_json({"error": str(error)})
            await browser.close(code=WSCloseCode.INTERNAL_ERROR, message=b"no complete answer")
        else:
            await browser.close()
    except ConnectionError:
        pass  # the browser has left in this moment; the stream is already closed


async def cancel_when_gone(browser: web.WebSocketResponse, answering: anyio.CancelScope) -> None:
    async for _ in browser:
        pass
    answering.cancel()


async def close_browsers(app: web.Application) -> None:
    # A server that stops waits for its handlers, and these run until the answer is complete.
    browsers = app[BROWSERS]
    for browser in list(browsers):
        await browser.close(code=WSCloseCode.GOING_AWAY, message=b"the server stops")


async def index(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


def make_app() -> web.Application:
    app = web.Application()
    app[BROWSERS] = WeakSet()
    app.add_routes([web.get("/", index), web.get("/chat", chat)])
    app.cleanup_ctx.append(client)
    app.on_shutdown.append(close_browsers)
    return app


PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<form>
  <input name="prompt" size="60" autofocus required>
  <button>Ask</button> <button type="reset">Stop</button>
</form>
<pre style="white-space: pre-wrap"></pre>
<script>
  const form = document.querySelector("form"), output = document.querySelector("pre");
  let socket;
  form.onsubmit = (event) => {
    event.preventDefault();
    socket?.close();
    output.textContent = "";
    const prompt = form.prompt.value;
    const mine = socket = new WebSocket(location.href.replace(/^http/, "ws") + "chat");
    mine.onopen = () => mine.send(prompt);
    mine.onmessage = (event) => {
      const { text, error } = JSON.parse(event.data);
      if (mine === socket) output.textContent += text ?? `\\n[${error}]`;
    };
  };
  form.onreset = () => socket?.close();
</script>
"""

if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
