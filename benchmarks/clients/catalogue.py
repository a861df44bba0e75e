"""The clients by name, with module, environment and kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Style = Literal["async", "sync"]
Role = Literal["floor", "ours", "peer"]


@dataclass(frozen=True)
class ClientSpec:
    """One client.

    Args:
        name: the name in tables.
        target: ``module:class``, loaded in the client's own process.
        style: whether its methods are coroutines.
        role: a floor, our own client, or another package.
        environment: ``"own"`` for this interpreter's, or one of ``environments.PEERS``.
        uvloop: whether its process can import uvloop; async clients then run on it.
        checkout: the folder of its package instead of the installed one, to compare two states.
    """

    name: str
    target: str
    style: Style
    role: Role
    environment: str = "own"
    uvloop: bool = False
    checkout: str | None = None


def _all() -> tuple[ClientSpec, ...]:
    here = "benchmarks.clients"
    return (
        ClientSpec("floor-aiohttp", f"{here}.floor_aiohttp:FloorAiohttp", "async", "floor"),
        ClientSpec(
            "floor-aiohttp+uvloop",
            f"{here}.floor_aiohttp:FloorAiohttp",
            "async",
            "floor",
            uvloop=True,
        ),
        ClientSpec("floor-socket", f"{here}.floor_socket:FloorSocket", "async", "floor"),
        ClientSpec("floor-httpclient", f"{here}.floor_httpclient:FloorHttpClient", "sync", "floor"),
        ClientSpec("floor-bridge", f"{here}.floor_bridge:FloorBridge", "sync", "floor"),
        ClientSpec(
            "floor-bridge+uvloop", f"{here}.floor_bridge:FloorBridge", "sync", "floor", uvloop=True
        ),
        ClientSpec("ours-async", f"{here}.ours:OursAsync", "async", "ours"),
        ClientSpec("ours-async+uvloop", f"{here}.ours:OursAsync", "async", "ours", uvloop=True),
        ClientSpec("ours-sync", f"{here}.ours:OursSync", "sync", "ours"),
        ClientSpec("ours-sync+uvloop", f"{here}.ours:OursSync", "sync", "ours", uvloop=True),
        ClientSpec("official-sync", f"{here}.official:Official", "sync", "peer", "official"),
        ClientSpec(
            "huggingface-async",
            f"{here}.huggingface:HuggingFaceAsync",
            "async",
            "peer",
            "huggingface",
        ),
        ClientSpec(
            "huggingface-sync", f"{here}.huggingface:HuggingFaceSync", "sync", "peer", "huggingface"
        ),
        ClientSpec("openai-async", f"{here}.openai_peer:OpenAIAsync", "async", "peer", "openai"),
        ClientSpec(
            "openai-async-aiohttp", f"{here}.openai_peer:OpenAIAiohttp", "async", "peer", "openai"
        ),
        ClientSpec("floor-list", f"{here}.control_floors:ListFloor", "async", "floor"),
        ClientSpec("floor-list-parsed", f"{here}.control_floors:ParsedFloor", "async", "floor"),
        ClientSpec("ours-management-async", f"{here}.management:ManagementAsync", "async", "ours"),
        ClientSpec("ours-management-sync", f"{here}.management:ManagementSync", "sync", "ours"),
        ClientSpec(
            "official-management", f"{here}.management:ManagementSync", "sync", "peer", "official"
        ),
        ClientSpec("openai-sync", f"{here}.openai_peer:OpenAISync", "sync", "peer", "openai"),
    )


CLIENTS: Final = {client.name: client for client in _all()}


def add_before(checkout: str) -> list[str]:
    """Add the clients of another checkout as ``before-…``, and return their names."""
    before = [
        replace(client, name=client.name.replace("ours-", "before-"), checkout=checkout)
        for client in CLIENTS.values()
        if client.role == "ours"
    ]
    CLIENTS.update({client.name: client for client in before})
    return [client.name for client in before]
