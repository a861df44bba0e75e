"""Which loop a platform of the command line runs on."""

from __future__ import annotations

import asyncio
import sys

import anyio
import pytest

from inferencekey.config import UVLOOP, uses_uvloop


async def _loop() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


@pytest.mark.parametrize("said", [None, "", "1", "yes"])
def test_uvloop_where_it_is_installed(said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uvloop")
    monkeypatch.delenv(UVLOOP.name, raising=False)
    if said is not None:
        monkeypatch.setenv(UVLOOP.name, said)
    assert anyio.run(_loop, backend_options={"use_uvloop": uses_uvloop()}) == "uvloop"


@pytest.mark.parametrize("said", ["0", "off", "No", " false "])
def test_asyncios_where_uvloop_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UVLOOP.name, said)
    assert anyio.run(_loop, backend_options={"use_uvloop": uses_uvloop()}) == "asyncio"


def test_asyncios_where_uvloop_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(UVLOOP.name, raising=False)
    monkeypatch.delitem(sys.modules, "uvloop", raising=False)
    monkeypatch.setattr(sys, "path", [])
    assert anyio.run(_loop, backend_options={"use_uvloop": uses_uvloop()}) == "asyncio"
