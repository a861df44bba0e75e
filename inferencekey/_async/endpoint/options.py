"""The options that many calls of an endpoint share, written once.

A new option of generated text is a line in ``TextOptions`` and a parameter of ``chat_body``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from inferencekey.models import Timeouts
from inferencekey.models.nearest import did_you_mean

__all__ = ["CallOptions", "TextOptions", "check_options"]


class CallOptions(TypedDict, total=False):
    """Options of every call of an endpoint.

    Attributes:
        extra_body: more fields of the request's body. They replace fields of the same name.
        timeout: deadlines of this call: a :class:`Timeouts`, or seconds. Seconds limit the whole of
            a call whose result is returned whole, and each wait of a stream.
    """

    extra_body: Mapping[str, Any] | None
    timeout: Timeouts | float | None


class TextOptions(CallOptions, total=False):
    """Options of every call that generates a text, besides those of :class:`CallOptions`.

    Attributes:
        top_p: nucleus sampling: the share of the probability that tokens are chosen from, 0 to 1.
        stop: a string, or a list of strings, at which the text ends.
        seed: an integer. Engines that support it generate the same text for the same seed.
    """

    top_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None


def check_options(
    options: Mapping[str, Any], known: frozenset[str], method: Callable[..., object]
) -> None:
    """Refuse an unknown option, as Python refuses an unknown keyword argument.

    Args:
        options: the options of the call.
        known: the names of the method's options.
        method: the method that was called.

    Raises:
        TypeError: an option is not known. The message names it, and the most similar argument.
    """
    # At run time ``**options`` takes any name, so Python itself finds no mistake here.
    if options.keys() <= known:
        return
    unknown = next(name for name in options if name not in known)
    explicit = [
        name
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    raise TypeError(
        f"{method.__name__}() got an unexpected keyword argument {unknown!r}"
        f"{did_you_mean(unknown, [*explicit, *sorted(known)])}"
    )
