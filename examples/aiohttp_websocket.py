"""A chat page: aiohttp.web pipes a stream to the browser through a websocket, and stops it when the browser leaves.

    pip install /path/to/the/checkout
    export INFERENCEKEY_PROJECT=acme INFERENCEKEY_API_KEY=ik_live_…
    python aiohttp_websocket.py

A browser opens a websocket per question: it sends the prompt as text, and gets ``{"text": …}`` for each chunk, then the
close code 1000; or ``{"error": …}`` and 1011.
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
    # One client for the process: it keeps the connections, and any number of requests may share it.
    async with AsyncDataClient.from_env() as data:
        app[BOT] = data.endpoint(WORKLOAD)
        yield


async def chat(request: web.Request) -> web.WebSocketResponse:
    browser = web.WebSocketResponse(
        heartbeat=20
    )  # pings find the browsers that vanished without a word
    await browser.prepare(request)
    request.app[BROWSERS].add(browser)
    message = await browser.receive()
    if message.type is not WSMsgType.TEXT:
        return browser
    # Nothing tells a handler that its browser has left unless it is receiving. So receive while sending, and cancel the
    # answer: that closes the connection upstream, and the engine stops. Without this, a browser that leaves while the
    # model is still thinking holds the engine until there is something to send.
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
        except InferenceKeyError as error:  # its message is made to be read, and never holds a key
            await browser.send_json({"error": str(error)})
            await browser.close(code=WSCloseCode.INTERNAL_ERROR, message=b"no complete answer")
        else:
            await browser.close()
    except ConnectionError:
        pass  # it left just now: the stream is closed already


async def cancel_when_gone(browser: web.WebSocketResponse, answering: anyio.CancelScope) -> None:
    async for _ in browser:
        pass
    answering.cancel()


async def say_goodbye(app: web.Application) -> None:
    # The server waits for its handlers when it stops; these would go on for as long as the model talks.
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
    app.on_shutdown.append(say_goodbye)
    return app


PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<form><input name="prompt" size="60" autofocus required> <button>Ask</button> <button type="reset">Stop</button></form>
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
