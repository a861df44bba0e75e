"""Calling one workload: one class per modality, each in a file of its own, joined here.

A further modality is a file here with a class over ``BaseEndpoint``, that class among the bases of
``AsyncEndpoint``, and a file in ``_core/data`` that makes its bodies and reads its responses.
"""

from __future__ import annotations

from inferencekey._async.endpoint.embeddings import EmbeddingsEndpoint
from inferencekey._async.endpoint.rerank import RerankEndpoint
from inferencekey._async.endpoint.text import TextEndpoint

__all__ = ["AsyncEndpoint"]


class AsyncEndpoint(TextEndpoint, EmbeddingsEndpoint, RerankEndpoint):
    """One workload, ready to be called. Made by :meth:`AsyncDataClient.endpoint`."""
