"""Turning texts into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Unpack

from inferencekey._async.endpoint.base import BaseEndpoint
from inferencekey._async.endpoint.options import CallOptions, check_options
from inferencekey._core.data.embeddings import embed_body, embedding_result
from inferencekey.models import EmbeddingResult

__all__ = ["EmbeddingsEndpoint"]

PATH: Final = "/v1/embeddings"


class EmbeddingsEndpoint(BaseEndpoint):
    """The calls of a workload that turns texts into vectors."""

    async def embed(
        self, input: str | Sequence[str], **options: Unpack[CallOptions]
    ) -> EmbeddingResult:
        """Turn texts into vectors, one per input, in input order.

        Args:
            input: one text, or a list of texts.
            options: ``extra_body`` and ``timeout``, as :class:`CallOptions` documents them.

        Raises:
            TypeError: an option is not known.
            ValidationError: an input is blank or missing, or the response is 400 or 422.
            ResponseFormatError: the response does not have exactly one vector per input.
            InferenceKeyError: as for ``generate_text``.
        """
        check_options(options, CallOptions.__optional_keys__, self.embed)
        body = embed_body(self._workload, input)
        response = await self._post(PATH, body, **options)
        count = 1 if isinstance(input, str) else len(input)
        return self._result(response, embedding_result, count, request_id=response.request_id)
