"""The kinds of stand-in: what each can do, which model it loads, and which task types it serves."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from inferencekey.local.engines.stand_ins.model_table import MINILM, SMOLLM2, Model

__all__ = ["DIMENSIONS", "RECIPES", "SLOTS", "Kind", "Recipe", "kind_for", "no_stand_in"]

SLOTS: Final = 4
"""How many requests a stand-in computes at the same time."""

DIMENSIONS: Final = 384
"""The length of the vectors of the embedding stand-in."""


class Kind(enum.Enum):
    """What a stand-in can do."""

    CHAT = "chat"
    EMBEDDING = "embedding"


@frozen
class Recipe:
    """How the stand-ins of one kind are run.

    Attributes:
        model: what they load.
        context: tokens of context, divided between the slots. A context that all slots share
            would take less memory, but then llama.cpp responds 500 in the middle of a text when
            several texts are long.
        options: more options of the engine's program.
    """

    model: Model
    context: int
    options: tuple[str, ...] = ()


RECIPES: Final[Mapping[Kind, Recipe]] = {
    Kind.CHAT: Recipe(SMOLLM2, context=8192),
    Kind.EMBEDDING: Recipe(MINILM, context=2048, options=("--embedding",)),
}

_KIND_OF_TASK: Final[Mapping[str, Kind]] = {
    "text2text": Kind.CHAT,
    "omni": Kind.CHAT,
    "embedding": Kind.EMBEDDING,
    "reranker": Kind.EMBEDDING,
}


def kind_for(task_type: str) -> Kind | None:
    """Return the kind of stand-in that serves a task type; ``None`` when there is none."""
    return _KIND_OF_TASK.get(task_type)


def no_stand_in(task_type: str) -> str:
    """Return the message for a workload that no stand-in can serve."""
    return (
        f"no stand-in engine serves {task_type} on this machine;"
        f" the stand-ins serve {', '.join(_KIND_OF_TASK)}"
    )
