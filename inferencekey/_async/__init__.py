"""The hand-written API. ``_sync`` is generated from it.

It sends requests with ``_http`` and leaves every decision and all parsing to ``_core``.
"""
