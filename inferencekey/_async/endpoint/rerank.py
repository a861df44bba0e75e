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
    """The calls of a workload that scores documents."""

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
            query: the question that the documents are scored for.
            documents: the texts to score.
            top_n: return only the best *top_n* documents.
            options: ``extra_body`` and ``timeout``, as :class:`CallOptions` documents them.

        Raises:
            TypeError: an option is not known.
            ValidationError: a text is blank or missing, or the response is 400 or 422.
            ResponseFormatError: a result has no score, or no index of a document.
            InferenceKeyError: as for ``generate_text``.
        """
        check_options(options, CallOptions.__optional_keys__, self.rerank)
        body = rerank_body(self._workload, query, documents, top_n)
        response = await self._post(PATH, body, **options)
        return self._result(response, rerank_result, len(documents), request_id=response.request_id)
