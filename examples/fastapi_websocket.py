"""A chat page with FastAPI: a stream is sent to the browser through a websocket.

When the browser leaves, the stream is closed and the engine stops.

    pip install . fastapi uvicorn websockets   # in a checkout of inferencekey
    export INFERENCEKEY_PROJECT=acme INFERENCEKEY_API_KEY=ik_live_…
    uvicorn --app-dir examples fastapi_websocket:app

A browser opens a websocket for each question and sends the prompt as text. It gets ``{"text": …}``
for each chunk and then the close code 1000, or ``{"error": …}`` and the close code 1011.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

from inferencekey import AsyncDataClient, AsyncEndpoint, InferenceKeyError

WORKLOAD = os.environ.get("WORKLOAD", "support-bot")
MAX_TOKENS = int(os.environ.get("MAX_TOKENS", "1500"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # One client for the process: it keeps the connections, and all requests share it.
    async with AsyncDataClient.from_env() as data:
        app.state.bot = data.endpoint(WORKLOAD)
        yield


app = FastAPI(lifespan=lifespan)


@app.websocket("/chat")
async def chat(browser: WebSocket) -> None:
    await browser.accept()
    try:
        prompt = await browser.receive_text()
    except WebSocketDisconnect:
        return
    async with anyio.create_task_group() as tasks:
        # A handler notices that the browser has left only while it receives. So it receives while
        # it sends, and cancels the answer: that closes the connection to the platform, and the
        # engine stops. Otherwise a browser that leaves before the first token keeps the engine busy
        # until that token.
        tasks.start_soon(cancel_when_gone, browser, tasks.cancel_scope)
        await answer(browser, browser.app.state.bot, prompt)
        tasks.cancel_scope.cancel()


async def answer(browser: WebSocket, bot: AsyncEndpoint, prompt: str) -> None:
    try:
        try:
            async with bot.generate_text_stream(prompt, max_tokens=MAX_TOKENS) as stream:
                async for chunk in stream:
                    if chunk.text:
                        await browser.send_json({"text": chunk.text})
        except InferenceKeyError as error:
            # The message is written for people and never contains a key.
            await browser.send_json({"error": str(error)})
            await browser.close(1011, "no complete answer")
        else:
            await browser.close()
    except WebSocketDisconnect:
        pass  # the browser has left in this moment; the stream is already closed


async def cancel_when_gone(browser: WebSocket, answering: anyio.CancelScope) -> None:
    while (await browser.receive())["type"] != "websocket.disconnect":
        pass
    answering.cancel()


@app.get("/")
async def index() -> HTMLResponse:
    return HTMLResponse(PAGE)


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
