"""The hand-written API. It composes ``_http`` and ``_core`` and parses nothing; ``_sync`` is generated from it."""
