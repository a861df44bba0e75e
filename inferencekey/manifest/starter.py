"""A manifest to begin with."""

from __future__ import annotations

from typing import Final

from inferencekey._core.slugs import checked_project
from inferencekey.models.toml import toml_text

__all__ = ["starter_manifest"]

_TEXT: Final = """\
# The workloads of a project. `inferencekey plan` shows what would change, and
# `inferencekey apply` does it. `inferencekey schema` prints the JSON Schema, for editors.

{project}

# Fields of every workload below that does not set them itself.
# [defaults]
# backend = "vllm"

[[workloads]]
name = "Support bot"
slug = "support-bot"            # the key: it stays, whatever else changes
model = "meta-llama/Llama-3.1-8B-Instruct"
backend = "vllm"                # or ollama, vllm-omni, sglang, llamacpp, stablediffusioncpp
command = "vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 8192"
# task_type = "text2text"       # the default
# description = "Answers customers. ${{TICKET}} comes from the environment."
# execution_policy = "fixed"
# execution_policy_config = {{ replicas = 2 }}
"""


def starter_manifest(project: str) -> str:
    """Return the text of a small TOML manifest with comments.

    Args:
        project: the project that it names.

    Raises:
        ValidationError: the project is not a slug.
    """
    return _TEXT.format(project=toml_text({"project": checked_project(project)}).strip())
