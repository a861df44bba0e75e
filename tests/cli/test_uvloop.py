"""The event loop that ``inferencekey up`` runs on."""

from __future__ import annotations

import asyncio
import sys

import anyio
import pytest

from inferencekey.config import UVLOOP, uses_uvloop


async def _loop() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


@pytest.mark.parametrize("value", [None, "", "1", "yes"])
def test_uses_uvloop_if_it_is_installed(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uvloop")
    monkeypatch.delenv(UVLOOP.name, raising=False)
    if value is not None:
        monkeypatch.setenv(UVLOOP.name, value)
    assert anyio.run(_loop, backend_options={"use_uvloop": uses_uvloop()}) == "uvloop"


@pytest.mark.parametrize("value", ["0", "off", "No", " false "])
def test_uses_asyncio_if_uvloop_is_switched_off(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(UVLOOP.name, value)
    assert anyio.run(_loop, backend_options={"use_uvloop": uses_uvloop()}) == "asyncio"


def test_uses_asyncio_if_uvloop_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(UVLOOP.name, raising=False)
    monkeypatch.delitem(sys.modules, "uvloop", raising=False)
    monkeypatch.setattr(sys, "path", [])
    assert anyio.run(_loop, backend_options={"use_uvloop": uses_uvloop()}) == "asyncio"
