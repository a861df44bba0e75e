"""What the body of a call to a stand-in may contain.

``bodies`` checks a whole body; ``messages`` and ``fields`` check its parts.
"""

from inferencekey.local.data_plane.checks.bodies import (
    RerankRequest,
    check_chat,
    check_completion,
    check_embeddings,
    check_rerank,
)

__all__ = ["RerankRequest", "check_chat", "check_completion", "check_embeddings", "check_rerank"]
