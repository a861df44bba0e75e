"""Browsers, as far as a server can tell, and what the platform saw of them."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from typing import Any

from platforms.up import Up
from websockets.asyncio.client import ClientConnection, connect

from examples.apps import App

__all__ = ["Log", "abort", "ask", "first_words", "rest"]


async def ask(app: App, prompt: str) -> ClientConnection:
    """Open a websocket and send the prompt."""
    browser = await connect(app.chat, open_timeout=30, close_timeout=5)
    await browser.send(prompt)
    return browser


async def first_words(browser: ClientConnection) -> str:
    """Wait for the first chunk."""
    return str(json.loads(await browser.recv())["text"])


async def rest(browser: ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    """Read to the end; return the messages and the close code."""
    messages = []
    try:
        while True:
            messages.append(json.loads(await browser.recv()))
    except Exception:
        if browser.close_code is None:
            raise
    return messages, browser.close_code


def abort(browser: ClientConnection) -> None:
    """Vanish, unless it had left before: a TCP reset, without a close frame."""
    sock: socket.socket = browser.transport.get_extra_info("socket")
    if sock.fileno() < 0:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    browser.transport.abort()


class Log:
    """The platform's log: one line for each generation, written when it has ended."""

    def __init__(self, up: Up) -> None:
        self._path = up.data / "logs" / "platform.log"

    def statuses(self) -> list[int]:
        """The statuses of the generations that have ended, 499 where the caller had left."""
        lines = (line.split() for line in self._path.read_text().splitlines())
        return [
            int(line[5])
            for line in lines
            if len(line) > 5 and line[4].endswith("/v1/chat/completions")
        ]

    async def ended(self, count: int, within: float) -> float:
        """Wait until *count* generations have ended in all; return the seconds it took."""
        began = time.monotonic()
        while len(self.statuses()) < count:
            took = time.monotonic() - began
            assert took < within, (
                f"{len(self.statuses())} of {count} generations have ended after {took:.1f} s"
            )
            await asyncio.sleep(0.02)
        return time.monotonic() - began
