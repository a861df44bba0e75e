"""Runs the code of these pages and of ``README.md``.

All blocks of ``README.md`` and of the quickstart are pasted into one terminal: see ``followed.py``.

Of every other page, the ``python`` blocks are executed, or checked as doctests where they have
``>>>``; ``bash`` and ``text`` blocks are not. A ``python`` block that cannot run has
``<!--- skip: next -->`` before it. One local platform serves all these pages. Each page starts with
the ``INFERENCEKEY_*`` variables set and with the workloads ``support-bot`` and ``billing`` ready.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, chdir
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from anyio.from_thread import start_blocking_portal
from sybil import Sybil
from sybil.integration.pytest import SybilFile, SybilItem
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

# Beside this file, which pytest does not put on the module path.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from followed import Block as PageBlock
from followed import Terminal, blocks, one_at_a_time

from inferencekey import Backend, ManagementClient, TaskType, WorkloadSpec
from inferencekey.local import LocalPlatform

DOCS = Path(__file__).resolve().parent
FOLLOWED = (DOCS.parent / "README.md", DOCS / "quickstart.md")
BLOCK_SECONDS = 600

PROJECT = "acme"
SUPPORT_BOT = WorkloadSpec(
    name="support-bot",
    slug="support-bot",
    model="meta-llama/Llama-3.1-8B-Instruct",
    backend=Backend.VLLM,
    command="vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 8192",
)
BILLING = WorkloadSpec(
    name="billing",
    slug="billing",
    model="sentence-transformers/all-MiniLM-L6-v2",
    backend=Backend.LLAMACPP,
    task_type=TaskType.EMBEDDING,
)


class Pages:
    """The platform behind the pages, started by the first page that has code."""

    def __init__(self) -> None:
        self._whole_run = ExitStack()
        self._page = ExitStack()
        self._variables: dict[str, str] = {}

    def set_up(self, namespace: dict[str, Any]) -> None:
        if not self._variables:
            self._variables = self._start()
        self._page.enter_context(mock.patch.dict(os.environ, self._variables))
        self._page.enter_context(
            chdir(
                self._page.enter_context(tempfile.TemporaryDirectory(prefix="inferencekey-page-"))
            )
        )
        with ManagementClient.from_env() as mgmt:
            for workload in mgmt.list_workloads():
                if workload.slug not in (SUPPORT_BOT.slug, BILLING.slug):
                    mgmt.delete(workload.slug)
            for spec in (SUPPORT_BOT, BILLING):
                mgmt.ensure(spec)
                mgmt.wait_until_ready(spec.slug, silent=True)
        namespace["__name__"] = "__main__"

    def tear_down(self, _: dict[str, Any]) -> None:
        self._page.close()

    def stop(self) -> None:
        self._whole_run.close()

    def _start(self) -> dict[str, str]:
        folder = self._whole_run.enter_context(
            tempfile.TemporaryDirectory(prefix="inferencekey-docs-")
        )
        portal = self._whole_run.enter_context(start_blocking_portal())
        platform = self._whole_run.enter_context(
            portal.wrap_async_context_manager(LocalPlatform(data_dir=folder, port=0))
        )
        return {
            "INFERENCEKEY_BASE_URL": platform.base_url,
            "INFERENCEKEY_PROJECT": PROJECT,
            "INFERENCEKEY_SDK_TOKEN": platform.mint_sdk_token(PROJECT),
            "INFERENCEKEY_API_KEY": platform.mint_live_token(f"{PROJECT}/*"),
            "SUPPORT_IK_LIVE": platform.mint_live_token(f"{PROJECT}/support-bot"),
            "BILLING_IK_LIVE": platform.mint_live_token(f"{PROJECT}/billing"),
        }


pages = Pages()


class Block(SybilItem):
    def _traceback_filter(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        # Sybil's own method looks for the frame of the block. An error that is raised outside of
        # the block has no such frame.
        try:
            return super()._traceback_filter(excinfo)
        except IndexError:
            return excinfo.traceback


class Page(SybilFile):
    def collect(self) -> Iterator[Block]:
        (sybil,) = self.sybils
        document = sybil.parse(self.path)
        self.documents.append(document)
        for example in document.examples():
            yield Block.from_parent(self, sybil=sybil, example=example)


class FollowedPage(pytest.File):
    """A page whose blocks are pasted into one terminal."""

    terminal: Terminal | None = None
    failed: str | None = None
    _stack: ExitStack

    def collect(self) -> Iterator[FollowedBlock]:
        for block in blocks(self.path.read_text(encoding="utf-8")):
            name = f"line {block.line}, {block.language}"
            item = FollowedBlock.from_parent(self, name=name, block=block)
            # An install line downloads; and two runs on one machine wait for each other.
            item.add_marker(pytest.mark.timeout(BLOCK_SECONDS))
            yield item

    def setup(self) -> None:
        self._stack = ExitStack()
        self._stack.enter_context(one_at_a_time())
        self.terminal = Terminal()
        self._stack.callback(self.terminal.close)

    def teardown(self) -> None:
        self._stack.close()


class FollowedBlock(pytest.Item):
    """One block; it needs all blocks before it."""

    def __init__(self, *, block: PageBlock, **options: Any) -> None:
        super().__init__(**options)
        self.block = block

    def runtest(self) -> None:
        page = self.parent
        assert isinstance(page, FollowedPage)
        assert page.terminal is not None
        assert page.failed is None, f"an earlier block failed: {page.failed}"
        page.failed = self.name
        page.terminal.paste(self.block)
        page.failed = None

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.block.line - 1, self.name


class Plugin:
    """The hooks. Plain hooks in this file would apply to ``docs/`` only, not to the README."""

    def __init__(self) -> None:
        self._sybil = Sybil(
            parsers=[PythonCodeBlockParser(), SkipParser()],
            patterns=["docs/**/*.md", "docs/*.md"],
            path=str(DOCS.parent),
            setup=pages.set_up,
            teardown=pages.tear_down,
        )

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> Page | FollowedPage | None:
        if file_path in FOLLOWED:
            return FollowedPage.from_parent(parent, path=file_path)
        if not self._sybil.should_parse(file_path):
            return None
        return Page.from_parent(parent, path=file_path, sybils=[self._sybil])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort the blocks of each page, which pytest-randomly shuffles: they need those before."""
        executed = [item for item in items if isinstance(item, Block)]
        executed.sort(key=lambda item: (str(item.path), item.example.start))
        followed = [item for item in items if isinstance(item, FollowedBlock)]
        followed.sort(key=lambda item: (str(item.path), item.block.line))
        others = [item for item in items if not isinstance(item, Block | FollowedBlock)]
        items[:] = [*others, *executed, *followed]

    def pytest_sessionfinish(self) -> None:
        pages.stop()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Plugin(), "inferencekey-docs")
