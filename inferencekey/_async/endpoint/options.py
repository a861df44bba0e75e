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
        extra_body: more fields for the engine, over the call's own.
        timeout: deadlines of this call: a :class:`Timeouts`, or seconds. Seconds limit the whole of
            a call whose result is returned whole, and each wait of a stream.
    """

    extra_body: Mapping[str, Any] | None
    timeout: Timeouts | float | None


class TextOptions(CallOptions, total=False):
    """Options of every call that generates a text.

    Attributes:
        top_p: nucleus sampling, 0 to 1.
        stop: a string, or several, at which the text ends.
        seed: an integer; the same seed gives the same text again.
    """

    top_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None


def check_options(
    options: Mapping[str, Any], known: frozenset[str], method: Callable[..., object]
) -> None:
    """Refuse an option that the method does not have, as Python refuses an unknown keyword.

    Args:
        options: the options of the call.
        known: the names that the method's ``**options`` may have.
        method: the method that was called.

    Raises:
        TypeError: an option is not known; the message names it and the known name nearest to it.
    """
    # At run time, Python checks no names here: ``**options`` takes any.
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
