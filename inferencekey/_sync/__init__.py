# Generated from inferencekey/_async by inferencekey/_codegen/generate.py.
"""The classes of the async API, for code that does not await. Generated."""
