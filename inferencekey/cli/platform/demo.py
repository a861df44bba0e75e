"""What ``inferencekey demo`` does.

It starts a platform, creates two workloads, streams text, makes embeddings, updates a workload, and
deletes both.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.markup import escape

from inferencekey import (
    AsyncDataClient,
    AsyncManagementClient,
    Backend,
    ReadinessEvent,
    TaskType,
    WorkloadSpec,
)
from inferencekey.cli.platform.env_exports import Exports
from inferencekey.cli.printing.output import console, note, print_json, print_lines
from inferencekey.cli.signals import stop_event
from inferencekey.local import LocalPlatform
from inferencekey.local.token_pair import token_pair
from inferencekey.printable import printable_lines, shown

__all__ = ["Demo"]

PROJECT = "acme"
PROMPT = "Hola, ¿cómo puedo cancelar mi pedido?"
DOCUMENTS = ["first document", "second document"]

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


@attrs.define
class Demo:
    """One run of the demo.

    Args:
        data: the platform's data directory.
        keep: keep the platform running at the end, until a stop signal.
        json: print one JSON object at the end, instead of each step.
        figures: what was measured, for JSON.
    """

    data: Path
    keep: bool
    json: bool
    figures: dict[str, Any] = attrs.field(factory=dict[str, Any])

    @property
    def out(self) -> Console:
        return console()

    async def run(self) -> None:
        """Run the demo."""
        began = time.perf_counter()
        async with LocalPlatform(data_dir=self.data, port=0) as platform:
            self.print_step(
                f"started a local platform at {platform.base_url}: no account, no GPU", began
            )
            pair = token_pair(platform.data_dir, PROJECT, set_default=True)
            exports = Exports.of(platform.base_url, pair)
            await self.call_everything(exports)
            self.figures["total_s"] = round(time.perf_counter() - began, 3)
            async with stop_event() as stop:
                self.report(exports)
                if self.keep:
                    await stop.wait()

    async def call_everything(self, exports: Exports) -> None:
        async with (
            AsyncManagementClient(
                base_url=exports.base_url, project=PROJECT, sdk_token=exports.sdk_token
            ) as mgmt,
            AsyncDataClient(
                base_url=exports.base_url, project=PROJECT, api_key=exports.api_key
            ) as data,
        ):
            ref = await self.provision(mgmt, SUPPORT_BOT, "support_bot")
            await self.stream(data, ref)
            billing = await self.provision(mgmt, BILLING, "billing")
            await self.embed(data, billing)

            began = time.perf_counter()
            again = await mgmt.ensure(SUPPORT_BOT)
            self.figures["ensure_again_ms"] = _ms(began)
            self.print_step(f"ensured support-bot again: {again.plan}", began)

            changed = SUPPORT_BOT.evolve(command=str(SUPPORT_BOT.command).replace("8192", "4096"))
            began = time.perf_counter()
            updated = await mgmt.ensure(changed)
            self.figures["update_ms"] = _ms(began)
            self.print_step("ensured it with another command:", began)
            self.print_lines(str(updated.plan))
            await mgmt.wait_until_ready(updated.workload_slug, silent=True)

            if not self.keep:
                began = time.perf_counter()
                for slug in (ref, billing):
                    await mgmt.delete(slug)
                self.figures["delete_ms"] = _ms(began)
                self.print_step("deleted both workloads", began)

    async def provision(self, mgmt: AsyncManagementClient, spec: WorkloadSpec, name: str) -> str:
        began = time.perf_counter()
        ref = await mgmt.ensure(spec)
        action = "" if ref.plan is None else ref.plan.action
        self.print_step(f"ensured {spec.slug} ({spec.model}): {action}", began)
        seen: list[ReadinessEvent] = []
        if self.json:
            last = await mgmt.wait_until_ready(ref.workload_slug, on_progress=seen.append)
        else:
            last = await mgmt.wait_until_ready(ref.workload_slug)
        self.figures[f"{name}_ready_s"] = round(time.perf_counter() - began, 3)
        self.print_lines(last.message)
        return ref.workload_slug

    async def stream(self, data: AsyncDataClient, slug: str) -> None:
        self.print_step(f"streaming a reply to {PROMPT!r}")
        began = time.perf_counter()
        first: float | None = None
        chunks = 0
        async with data.endpoint(slug).generate_text_stream(
            PROMPT, temperature=0.2, max_tokens=120, seed=1
        ) as stream:
            async for chunk in stream:
                if chunk.text:
                    first = first or time.perf_counter()
                    chunks += 1
                    self.print_token(chunk.text)
        took = time.perf_counter() - (first or began)
        self.print_token("\n")
        result = stream.result
        self.figures.update(
            model=result.model,
            text=result.text,
            finish_reason=result.finish_reason,
            first_token_ms=round(((first or began) - began) * 1000, 1),
            chunks=chunks,
            tokens_per_s=round((chunks - 1) / took, 1) if chunks > 1 and took > 0 else None,
        )
        self.print_lines(
            f"{result.model}: first token after {self.figures['first_token_ms']} ms, "
            f"{chunks} chunks, {self.figures['tokens_per_s']} per second"
        )

    async def embed(self, data: AsyncDataClient, slug: str) -> None:
        began = time.perf_counter()
        found = await data.endpoint(slug).embed(DOCUMENTS)
        dimensions = len(found.embeddings[0])
        self.figures.update(embed_ms=_ms(began), embedding_model=found.model, dimensions=dimensions)
        vectors = f"{len(found.embeddings)} vectors of {dimensions}"
        self.print_step(f"embedded {DOCUMENTS}: {vectors} from {found.model}", began)

    def report(self, exports: Exports) -> None:
        if self.json:
            more = exports.to_dict() if self.keep else {}
            print_json({**self.figures, **more}, secret=self.keep)
            return
        took = self.figures["total_s"]
        done = "created, streamed, embedded, updated"
        if not self.keep:
            done += ", deleted"
        self.out.print(f"[bold green]done[/bold green] in {took} s: {done}")
        if self.keep:
            note("The platform runs until Ctrl-C. Paste these lines in the shell where you work:")
            print_lines(exports.lines(), secret=True)
        else:
            note(
                f"For your own code, run: inferencekey up --detach --project {PROJECT}. "
                "To keep the platform of the demo running, run: inferencekey demo --keep"
            )

    def print_step(self, text: str, began: float | None = None) -> None:
        if not self.json:
            took = "" if began is None else f" [dim]({_ms(began)} ms)[/dim]"
            self.out.print(f"[bold cyan]•[/bold cyan] {escape(shown(text))}{took}")

    def print_lines(self, text: str) -> None:
        if not self.json:
            self.out.print(
                escape("\n".join(f"  {shown(line)}" for line in text.splitlines())), style="dim"
            )

    def print_token(self, text: str) -> None:
        if not self.json:
            sys.stdout.write(printable_lines(text))
            sys.stdout.flush()


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
