"""The only client code that uses aiohttp: sessions, deadlines, retries and streams.

``_core`` decides whether to retry; this package sends and reads.
"""
