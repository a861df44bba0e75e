"""Ranking by similarity: how a model that only embeds stands in for a reranker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import Any

__all__ = ["cosine", "rank"]

Vector = Sequence[float]


def cosine(a: Vector, b: Vector) -> float:
    """Return the cosine of the angle between two vectors of one length, from -1 to 1.

    It is 0 if one of them is all zeros.
    """
    size = math.hypot(*a) * math.hypot(*b)
    if not size:
        return 0.0
    product: float = sum(map(mul, a, b))
    return max(-1.0, min(1.0, product / size))  # rounding may leave a little more than 1


def rank(query: Vector, documents: Sequence[Vector], top_n: int) -> list[dict[str, Any]]:
    """Return the *top_n* documents that are most similar to the query, the most similar first.

    Documents of the same score stay in the order of the request.
    """
    scores = [cosine(query, document) for document in documents]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return [{"index": index, "relevance_score": scores[index]} for index in order[:top_n]]
