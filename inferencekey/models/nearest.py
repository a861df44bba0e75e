"""The known word that is most similar to an unknown one, for messages."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest", "one_of_these"]


def nearest(given: object, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return the known word that is most similar to *given*; ``None`` if none is similar.

    Args:
        given: the unknown word.
        known: the words to choose from.
        likeness: how similar they must be, from 0 to 1.
    """
    from difflib import get_close_matches

    words = {word.lower(): word for word in known}
    found = get_close_matches(str(given)[:100].lower(), words, n=1, cutoff=likeness)
    return words[found[0]] if found else None


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return the end of a message, ``"; did you mean 'vllm'?"``; empty if none is similar."""
    found = nearest(given, known)
    return "" if found is None else f"; did you mean {str(found)!r}?"


def one_of_these(given: object, known: Iterable[str]) -> str:
    """Return the same, or the list of the known words if none is similar."""
    known = tuple(known)
    return did_you_mean(given, known) or f"; known: {', '.join(known)}"
