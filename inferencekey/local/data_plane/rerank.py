"""Ranking by similarity: the stand-in for a reranker, made of a model that only embeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import Any

__all__ = ["cosine", "ranked"]

Vector = Sequence[float]


def cosine(a: Vector, b: Vector) -> float:
    """Return the cosine of the angle between two vectors of one length, from -1 to 1; 0 if one has no length."""
    size = math.hypot(*a) * math.hypot(*b)
    return max(-1.0, min(1.0, sum(map(mul, a, b)) / size)) if size else 0.0


def ranked(query: Vector, documents: Sequence[Vector], top_n: int) -> list[dict[str, Any]]:
    """Return the *top_n* documents nearest to the query, the nearest first, equals in the request's order."""
    scores = [cosine(query, document) for document in documents]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return [{"index": index, "relevance_score": scores[index]} for index in order[:top_n]]
