"""Ranking by similarity."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.local.data_plane.rerank import cosine, rank

vectors = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3)


@given(vectors, vectors)
def test_the_cosine_is_symmetric_and_bounded(a: list[float], b: list[float]) -> None:
    assert -1 <= cosine(a, b) <= 1
    assert cosine(a, b) == pytest.approx(cosine(b, a))


def test_the_cosine_of_known_angles() -> None:
    assert cosine([1, 0], [5, 0]) == pytest.approx(1)
    assert cosine([1, 0], [0, 2]) == 0
    assert cosine([1, 0], [-3, 0]) == pytest.approx(-1)
    assert cosine([0, 0], [1, 1]) == 0


@given(vectors, st.lists(vectors, min_size=1, max_size=6), st.integers(1, 8))
def test_ranks_are_sorted_and_cut(
    query: list[float], documents: list[list[float]], top_n: int
) -> None:
    results = rank(query, documents, top_n)
    assert len(results) == min(top_n, len(documents))
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == max(cosine(query, document) for document in documents)
