"""Calls of one workload. Each modality is a class in a file of its own; this module joins them.

To add a modality: write a file here with a class over ``BaseEndpoint``, add the class to the bases
of ``AsyncEndpoint``, and write a file in ``_core/data`` that builds its bodies and reads its
responses.
"""

from __future__ import annotations

from inferencekey._async.endpoint.embeddings import EmbeddingsEndpoint
from inferencekey._async.endpoint.rerank import RerankEndpoint
from inferencekey._async.endpoint.text import TextEndpoint

__all__ = ["AsyncEndpoint"]


class AsyncEndpoint(TextEndpoint, EmbeddingsEndpoint, RerankEndpoint):
    """Calls one workload. :meth:`AsyncDataClient.endpoint` makes it."""
