"""An engine's stream: relayed to the caller as it comes, or collected into one response.

``relay`` and ``collect`` are the two ways. ``chunked`` finds whole events in chunks, and
``engine_connection`` takes the reads of a connection over from aiohttp.
"""
