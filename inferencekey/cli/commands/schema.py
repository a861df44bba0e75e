"""``inferencekey schema``: the JSON Schema of a manifest, for editors."""

from __future__ import annotations

from inferencekey.cli.options import Json

__all__ = ["schema"]


def schema(json: Json = False) -> None:
    """Print the JSON Schema of a manifest, for editors; with --json on one line."""
    import json as standard

    from inferencekey.cli.printing.output import print_bytes
    from inferencekey.manifest import manifest_schema

    indent, separators = (None, (",", ":")) if json else (2, (",", ": "))
    text = standard.dumps(manifest_schema(), indent=indent, separators=separators)
    print_bytes(text.encode() + b"\n")
