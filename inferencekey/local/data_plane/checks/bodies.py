"""Which bodies of calls a stand-in accepts.

llama.cpp responds 200 to a role that does not exist, to an empty list of messages and to
``temperature: 99``; and 500 to a message without a role and to an image that it cannot see. Here
each of them is a 400 that names the field. A valid body is sent on as it came, with its unknown
fields too: an engine has settings of its own.
"""

from __future__ import annotations

from typing import Any, Final, cast

import attrs

from inferencekey._core.json import as_mapping
from inferencekey.errors import ValidationError
from inferencekey.local.data_plane.checks.fields import (
    MAX_TOP_LOGPROBS,
    Body,
    check_not_blank,
    check_response_format,
    check_sampling,
    check_tools,
    integer_from,
    is_token_ids,
    without_nulls,
)
from inferencekey.local.data_plane.checks.messages import check_messages
from inferencekey.models.numbers import checked_integer

__all__ = ["RerankRequest", "check_chat", "check_completion", "check_embeddings", "check_rerank"]

MAX_DOCUMENTS: Final = 1000
MAX_INPUTS: Final = 2048


@attrs.frozen
class RerankRequest:
    """What to rank. *top_n* is at least 1, and may be larger than the number of documents."""

    query: str
    documents: tuple[str, ...]
    top_n: int


def check_chat(body: Body, *, slots: int) -> dict[str, Any]:
    """Return the body for the engine: without the fields that are ``null``.

    Args:
        body: as the caller sent it.
        slots: how many sequences the engine computes at the same time; the limit of ``n``.

    Raises:
        ValidationError: a field is wrong; the message names it.
    """
    check_messages(body.get("messages"))
    checked = check_sampling(body, slots)
    if checked.get("top_logprobs") is not None and not checked.get("logprobs"):
        raise ValidationError("top_logprobs requires logprobs to be true")
    check_response_format(checked.get("response_format"))
    check_tools(checked)
    return checked


def check_completion(body: Body, *, slots: int) -> dict[str, Any]:
    """Return the body of a plain completion for the engine. Its prompt is a text or token ids.

    Args:
        body: as the caller sent it.
        slots: how many sequences the engine computes at the same time; the limit of ``n``.

    Raises:
        ValidationError: a field is wrong; the message names it.
    """
    prompt = body.get("prompt")
    if isinstance(prompt, str):
        check_not_blank("prompt", prompt)
    elif not is_token_ids(prompt):
        raise ValidationError("prompt must be a string, or a list of token ids")
    # Unlike in a chat, where it is true or false.
    return check_sampling(body, slots, logprobs=integer_from(0, MAX_TOP_LOGPROBS))


def check_embeddings(body: Body, *, dimensions: int) -> dict[str, Any]:
    """Return the body for the engine: without the fields that are ``null``.

    Args:
        body: as the caller sent it.
        dimensions: the length of the engine's vectors, and the only one that can be asked for.

    Raises:
        ValidationError: a field is wrong; the message names it.
    """
    _check_inputs(body.get("input"))
    checked = without_nulls(body)
    encoding = checked.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise ValidationError(f"encoding_format must be 'float' or 'base64'; got {encoding!r}")
    requested = checked.pop("dimensions", dimensions)
    if isinstance(requested, bool) or requested != dimensions:
        raise ValidationError(
            f"dimensions must be {dimensions}, the length of this model's vectors;"
            f" got {requested!r}"
        )
    return checked


def check_rerank(body: Body) -> RerankRequest:
    """Return what to rank.

    Raises:
        ValidationError: a field is wrong; the message names it.
    """
    query = body.get("query")
    if not isinstance(query, str):
        raise ValidationError("query must be a string")
    check_not_blank("query", query)
    given: object = body.get("documents")
    if not isinstance(given, list) or not given:
        raise ValidationError("documents must be a list of at least one string")
    items = cast("list[object]", given)
    if len(items) > MAX_DOCUMENTS:
        raise ValidationError(f"documents must have at most {MAX_DOCUMENTS} items")
    documents = tuple(_text_of_document(index, item) for index, item in enumerate(items))
    top_n = body.get("top_n")
    if top_n is None:
        top_n = len(documents)
    return RerankRequest(query, documents, checked_integer(top_n, "top_n", at_least=1))


def _check_inputs(given: object) -> None:
    if isinstance(given, str):
        check_not_blank("input", given)
        return
    if not isinstance(given, list) or not given:
        raise ValidationError("input must be a string or a list of at least one string")
    inputs = cast("list[object]", given)
    if is_token_ids(inputs):
        return
    if len(inputs) > MAX_INPUTS:
        raise ValidationError(f"input must have at most {MAX_INPUTS} items")
    for index, item in enumerate(inputs):
        if isinstance(item, str):
            check_not_blank(f"input[{index}]", item)
        elif not is_token_ids(item):
            raise ValidationError(f"input[{index}] must be a string, or a list of token ids")


def _text_of_document(index: int, item: object) -> str:
    mapping = as_mapping(item)
    if mapping is not None:
        item = mapping.get("text")
    if not isinstance(item, str):
        raise ValidationError(f"documents[{index}] must be a string")
    return item
