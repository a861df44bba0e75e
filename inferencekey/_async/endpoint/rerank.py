"""Scoring documents by their relevance to a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Unpack

from inferencekey._async.endpoint.base import BaseEndpoint
from inferencekey._async.endpoint.options import CallOptions, check_options
from inferencekey._core.data.rerank import rerank_body, rerank_result
from inferencekey.models import RerankResult

__all__ = ["RerankEndpoint"]

PATH: Final = "/v1/rerank"


class RerankEndpoint(BaseEndpoint):
    """The calls of a workload that reranks."""

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        **options: Unpack[CallOptions],
    ) -> RerankResult:
        """Score documents by their relevance to a query.

        Args:
            query: what is looked for.
            documents: the texts to score.
            top_n: return only so many, the best.
            options: ``extra_body`` and ``timeout``, as :class:`CallOptions` documents them.

        Raises:
            TypeError: there is no such option.
            ValidationError: a text is blank or missing, or the server answered 400 or 422.
            ResponseFormatError: the response has no score or index.
            InferenceKeyError: as for ``generate_text``.
        """
        check_options(options, CallOptions.__optional_keys__, self.rerank)
        body = rerank_body(self._workload, query, documents, top_n)
        answer = await self._post(PATH, body, **options)
        return self._result(answer, rerank_result, len(documents), request_id=answer.request_id)
