"""``inferencekey init``: a manifest to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inferencekey.cli.failures import CommandError
from inferencekey.cli.options import Json

__all__ = ["init"]

STARTER = """\
# The workloads of a project. `inferencekey plan` shows what would change, `inferencekey apply` does it.
# `inferencekey schema` prints the JSON Schema, for editors.

{project}

# What every workload below has, unless it says otherwise.
# [defaults]
# backend = "vllm"

[[workloads]]
name = "Support bot"
slug = "support-bot"                                # the key: it stays, whatever else changes
model = "meta-llama/Llama-3.1-8B-Instruct"
backend = "vllm"                                    # ollama, vllm, vllm-omni, sglang, llamacpp, stablediffusioncpp
command = "vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 8192"
# task_type = "text2text"                           # the default
# description = "Answers customers. ${{TICKET}} comes from the environment."
# execution_policy = "fixed"
# execution_policy_config = {{ replicas = 2 }}
"""


def init(
    project: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The project its workloads go to; by default INFERENCEKEY_PROJECT, else local.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to; a TOML file.")
    ] = Path("inferencekey.toml"),
    json: Json = False,
) -> None:
    """Write a small manifest with comments to begin with."""
    from inferencekey import config
    from inferencekey._core.slugs import checked_project
    from inferencekey.cli.output import note, print_json
    from inferencekey.models.toml import toml_text

    where = config.setting(project, config.PROJECT_VARIABLE) or "local"
    if output.suffix != ".toml":
        raise CommandError(
            f"{output} is no TOML file; name it like inferencekey.toml (`export` writes yaml and json)"
        )
    text = STARTER.format(project=toml_text({"project": checked_project(where)}).strip())
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{output} is there already; it was left as it is") from None
    if json:
        print_json({"written": str(output)})
    else:
        note(f"wrote {output}; `inferencekey plan` shows what it would do")
