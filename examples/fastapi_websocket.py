"""A chat page: FastAPI pipes a stream to the browser through a websocket, and stops it when the browser leaves.

    pip install /path/to/the/checkout fastapi uvicorn websockets
    export INFERENCEKEY_PROJECT=acme INFERENCEKEY_API_KEY=ik_live_…
    uvicorn fastapi_websocket:app

A browser opens a websocket per question: it sends the prompt as text, and gets ``{"text": …}`` for each chunk, then the
close code 1000; or ``{"error": …}`` and 1011.
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
    # One client for the process: it keeps the connections, and any number of requests may share it.
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
        # Nothing tells a handler that its browser has left unless it is receiving. So receive while sending, and cancel
        # the answer: that closes the connection upstream, and the engine stops. Without this, a browser that leaves
        # while the model is still thinking holds the engine until there is something to send.
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
        except InferenceKeyError as error:  # its message is made to be read, and never holds a key
            await browser.send_json({"error": str(error)})
            await browser.close(1011, "no complete answer")
        else:
            await browser.close()
    except WebSocketDisconnect:
        pass  # it left just now: the stream is closed already


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
