"""The only aiohttp client code: sessions, deadlines, retries as ``_core`` decides them, streaming reads."""
