"""``inferencekey schema``: the JSON Schema of a manifest, for editors."""

from __future__ import annotations

from inferencekey.cli.options import Json

__all__ = ["schema"]


def schema(json: Json = False) -> None:
    """Print the JSON Schema of a manifest, for editors; with --json on one line."""
    import orjson

    from inferencekey.cli.printing.output import print_bytes
    from inferencekey.manifest import manifest_schema

    print_bytes(orjson.dumps(manifest_schema(), option=0 if json else orjson.OPT_INDENT_2) + b"\n")
